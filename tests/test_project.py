"""The notebook's project: six verbs over one set of shots, and the same state on the page."""

import numpy as np
import pytest
from PIL import Image

import promptlab as pl
from promptlab.errors import BadData
from promptlab.ui import core
from promptlab.ui.handlers import compare
from promptlab.ui.out.here import begin
from promptlab.ui.session import Sessions

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (20, 40, 220)}


def pictures(name, n=6):
    rng = np.random.default_rng(sorted(COLOURS).index(name))
    made = np.asarray(COLOURS[name]) + rng.integers(-20, 20, (n, 48, 48, 3))
    return [Image.fromarray(x) for x in made.clip(0, 255).astype(np.uint8)]


@pytest.fixture
def folder(tmp_path):
    for name in COLOURS:
        (tmp_path / "shots" / name).mkdir(parents=True)
        for i, picture in enumerate(pictures(name)):
            picture.save(tmp_path / "shots" / name / f"{i}.png")
    return tmp_path / "shots"


@pytest.fixture
def project(folder, tmp_path):
    return pl.Project.from_folder(folder, shots=2, store=tmp_path / "runs")


def test_six_verbs(project, folder):
    project.fit(["taskres", ("coop", {"n_ctx": 2})], steps=2, batch=6)
    assert [r.key for r in project.runs] == ["zero_shot", "taskres", "coop"]
    assert project.runs[-1].meta["hyper"]["n_ctx"] == 2
    table = project.compare()
    assert len(table.rows) == 3
    assert "taskres" in project._repr_html_()
    assert project.inspect("shift").arrays["image_shift"].shape[0] > 1
    assert project.inspect("evidence", str(folder / "red" / "0.png"), method="taskres").title
    said = project.predict(str(folder / "red" / "0.png"), k=2)
    newest, zero = project.inspect("shift", method="coop").title, project.inspect("shift", method="zero_shot").title
    assert project.inspect("shift").title == newest != zero
    assert [row["method"] for row in said] == [r.method.card.name for r in project.runs] and set(said[0]) == {"method", "1.", "2."}


def test_an_equal_fit_is_found_and_seeds_are_runs(project):
    project.fit("taskres", seeds=(1, 2), steps=1)
    before = [r.id for r in project.runs]
    assert project.fit("taskres", seeds=(2, 1), steps=1).runs and {r.id for r in project.runs} == set(before) and len(before) == 3


def test_pictures_are_added_one_class_at_a_time(tmp_path):
    project = pl.Project(store=tmp_path, shots=2)
    assert "no shots yet" in project._repr_html_()
    with pytest.raises(BadData, match="two classes and has 0"):
        project.fit("taskres")
    project.add(pictures("red"), "red").add(pictures("blue"), "blue")
    assert project.fit("tip_adapter").task.data.classes.names == ("red", "blue")
    project.add(pictures("green")[0], "green").add(pictures("green")[1:], "green")
    assert not project.runs and project.task.data.classes.names == ("red", "blue", "green")
    with pytest.raises(BadData, match="at least one picture and a class name"):
        project.add([], "red")


def test_a_folder_takes_more_pictures(project):
    assert project.add(pictures("red")[0], "grey").task.data.classes.names == ("blue", "green", "red", "grey")


def test_what_cannot_be_done_is_one_sentence(project, tmp_path):
    for do, said in (
        (lambda: project.inspect("words"), "nothing is fitted"),
        (lambda: project.zero_shot() and project.inspect("words", method="coop"), "no run of 'coop'"),
        (lambda: pl.Project("world:animals@photo", store=tmp_path).add(pictures("red"), "red"), "stays as it is"),
    ):
        with pytest.raises(BadData, match=said):
            do()


def test_the_page_begins_with_the_project(project, tmp_path):
    project.fit("taskres", steps=2)
    sessions = Sessions(tmp_path)
    session = sessions.get(sessions.new())
    begin(session, project)
    assert core.backbone(session) is project.clip and session.data.names == ("blue", "green", "red")
    assert [t.run.id for t in session.tickets] == [r.id for r in project.runs if r.key != "zero_shot"]
    assert session.zero.report.headline == project.zero_shot().report.headline  # judged on the same pictures
    assert "TaskRes" in compare.show(session)["compare_table"]
