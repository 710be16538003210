"""Every kind of exhibit is drawn by both libraries, narrow and wide, light and dark, without a warning and without pyplot.

What every method yields is laid out in tests/inspect; here are the methods that together have every exhibit.
"""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from promptlab import inspect as look
from promptlab import plots, registry
from promptlab.errors import BadData
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.plots.panels import panels, slides
from promptlab.testing.subject import Subject


@pytest.fixture(scope="module", params=["clip_lora", "cocoop", "dualcoop", "maskclip", "plot", "tip_adapter", "tpt", "upt", "vp"])
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
                assert not drawn.layout.sliders or {s.args[0][0] for d in drawn.layout.sliders for s in d.steps} == {
                    f.name for f in drawn.frames}
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


def test_an_unknown_kind_has_the_plain_plot():
    arrays = {"gates": np.array([0.2, -0.4, 0.9]), "mixing": np.arange(6.0).reshape(3, 2), "layers": np.ones((2, 3, 4)),
              "photo": np.full((8, 8, 3), 0.5), "long": np.arange(50.0)}
    e = Exhibit("brand_new", "New", arrays, {"expert": ("a", "b", "c")}, "A note.", (Sanity("x", 0.0),))
    shown = panels(e)
    assert [p.what for p in shown] == ["bars", "heat", "heat", "heat", "picture", "lines"]
    assert shown[1].y_names == ("a", "b", "c") and list(shown[0].series[0][1]) == ["a", "b", "c"]
    plots.draw(e, width=400).to_json()
    plots.paper(e, width=4.0).canvas.draw()


def test_a_replay_keeps_its_scales_and_its_frames():
    def frame(i):
        arrays = {"before": np.full((2, 2), i), "after": np.full((2, 2), 2.0 * i), "picture": np.zeros((4, 4, 3))}
        return Exhibit("maps", f"Map {i}", arrays, {}, "Note.", (Sanity("x", float(i)),), {"before": "zero-shot"})

    e = Exhibit.from_json(Exhibit.replay(["start", "epoch 1", "epoch 2"], [frame(i) for i in range(3)], "Maps", "Note.").to_json())
    assert [f.title for f in e.frames()] == ["Map 0", "Map 1", "Map 2"] and e.frames()[2].sanity[0].value == 2.0
    (moving,) = slides(e)
    assert moving.labels == ("start", "epoch 1", "epoch 2") and moving.start == 2
    assert {(p.low, p.high) for f in moving.frames for p in f[1:]} == {(0.0, 4.0)}
    drawn = plots.draw(e, width=1200)
    assert len(drawn.frames) == 3 and drawn.layout.sliders[0].active == 2
    plots.paper(e, width=4.0).canvas.draw()
    assert {r["frame"] for r in e.rows()} == {"start", "epoch 1", "epoch 2"}


def test_an_exhibit_shows_itself_as_a_picture():
    e = Exhibit("curve", "A <line>", {"x": np.arange(3.0), "y": np.arange(3.0)}, {}, "Higher is more.", (Sanity("error", 0.0),))
    html = e._repr_html_()
    assert html.startswith("<div><img ") and "data:image/png;base64," in html and "A &lt;line&gt;" in html and "A <line>" not in html
    assert "http" not in html and "<script" not in html
    code = "import promptlab.inspect.exhibit, sys; sys.exit(any(m.startswith(('promptlab.plots', 'matplotlib')) for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_panels_are_placed_without_overlap():
    from promptlab.plots.panels import Panel, placed

    for width in (300, 400, 700, 1000, 1200):
        shown = [Panel("picture"), Panel("heat"), Panel("bars"), Panel("heat"), Panel("lines"), Panel("points"), Panel("heat")]
        places, rows, columns = placed(shown, width, 190, 420)
        taken = [(r, c) for r, first, n in places for c in range(first, first + n)]
        assert len(set(taken)) == len(taken) and all(r < rows and c < columns for r, c in taken)
