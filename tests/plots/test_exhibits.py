"""Every exhibit of every method is drawn by both libraries, narrow and wide, light and dark, without a warning and without pyplot."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from promptlab import inspect as look
from promptlab import plots, registry
from promptlab.errors import BadData
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.testing.subject import Subject


@pytest.fixture(scope="module", params=registry.ids())
def exhibits(request):
    subject = Subject(registry.get(request.param))
    method, _ = subject.fit()
    picture = next(subject.toy.episode.support.take([0]).batches(1))
    return {k: v for k, v in look.available(method, picture).items() if isinstance(v, Exhibit)}


def test_drawn_by_both(exhibits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for e in exhibits.values():
            for px, dark in ((400, False), (1200, True)):
                drawn = plots.draw(e, width=px, dark=dark)
                assert drawn.layout.width == px and len(drawn.data) > 0
                drawn.to_json()
                plots.paper(e, width=px / 100, dark=dark).canvas.draw()


def test_saved_files(tmp_path):
    e = Exhibit("curve", "A line", {"x": np.arange(3.0), "y": np.arange(3.0)}, {}, "Higher is more.", (Sanity("error", 0.0),))
    page = plots.save(e, tmp_path / "a.html").read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page and '<script src=' not in page
    assert plots.save(e, tmp_path / "a.png", width=4).read_bytes().startswith(b"\x89PNG")
    assert Exhibit.from_json(plots.save(e, tmp_path / "a.json").read_text(encoding="utf-8")).title == e.title
    with pytest.raises(BadData, match=r"a\.gif"):
        plots.save(e, tmp_path / "a.gif")


def test_no_pyplot():
    code = "import promptlab.plots.printed, promptlab.plots.interactive, sys; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
