"""Long runs: memory after 200 trainings in a row with pocket."""

import gc
from pathlib import Path

import pytest

from promptlab.ui import core
from promptlab.ui.handlers import shots, train
from promptlab.ui.session import Sessions
from tests.ui.test_handlers import finish

pytestmark = pytest.mark.slow
TRAININGS, WARM = 200, 20


def resident():
    lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(lines[0][1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="resident memory is read from /proc")
def test_two_hundred_trainings_do_not_pile_up(tmp_path, monkeypatch):
    monkeypatch.setattr(core, "MOST_TESTS", 40)
    sessions = Sessions(tmp_path)
    s = sessions.get(sessions.new())
    shots.sample(s, "Vehicles, blurry", 1)
    seen = []
    for i in range(TRAININGS):
        s.knobs["coop"] = {"steps": 3, "batch": 8, "lr": 0.001 * (i + 1)}
        train.start(s, methods=["coop"])
        finish(s, 120)
        if i % 20 == WARM - 1 or i == TRAININGS - 1:
            gc.collect()
            seen.append(resident())
    print("resident MB:", [round(x) for x in seen])
    assert len(s.runs) == TRAININGS and seen[-1] < 1.1 * seen[0]
    sessions.clear()
