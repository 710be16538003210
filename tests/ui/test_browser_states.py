"""In a real browser: what the page says where there is too little, where something fails, and where somebody is before you."""

import re

import pytest

from promptlab.backbones import checkpoint
from promptlab.backbones.tiny import tiny_backbone
from promptlab.methods.coop import CoOp
from promptlab.ui import build_app, core, launch, says
from promptlab.ui.session import SESSIONS
from tests.faults import memory_ends
from tests.ui.conftest import picture
from tests.ui.test_browser import Visitor, quick, visitor  # noqa: F401 - a fixture

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def pictures(folder, *values):
    return [picture(folder / f"{v}.png", v) for v in values]


def train_coop(visitor, steps="30"):  # noqa: F811
    visitor.tab("train")
    quick(visitor, steps)
    visitor.page.locator("#go_train:not([disabled])").click()


def test_cards_say_what_they_lack_and_mend_it_with_one_press(visitor, tmp_path):  # noqa: F811
    page = visitor.page
    cat, *dogs = pictures(tmp_path, 1, 2, 3)
    visitor.own([("cat", [cat], 1), ("dog", [*dogs, cat], 3)])
    visitor.see(says.fewer("cat", 1))
    visitor.tab("train")
    visitor.see(says.fewer("cat", 1), "#methods")
    assert page.locator("#go_train").is_disabled()
    visitor.tab("shots")
    cards = page.locator("#board .pl-class")
    visitor.see("also in dog", "#board")
    cards.nth(1).get_by_label("Remove 1.png").click()
    page.locator("#board .pl-twin").first.wait_for(state="detached")
    cards.nth(1).get_by_label("Pick 3.png to move it").click()
    cards.nth(0).get_by_text("Move here").click()
    cards.nth(0).get_by_text("2 of 8 suggested").wait_for()
    visitor.see(says.fewer("dog", 1))
    box = page.get_by_label("Name of class 2")
    box.fill("cat")
    box.blur()
    visitor.see("The name 'cat' is there twice.")
    page.get_by_text("Merge", exact=True).click()
    cards.nth(0).get_by_text("3 of 8 suggested").wait_for()
    visitor.see("a choice needs 2 or more")


def test_few_pictures_make_a_list_and_one_method_asks_for_another(visitor, tmp_path):  # noqa: F811
    page = visitor.page
    visitor.own([("cat", pictures(tmp_path, 1, 2), 2), ("dog", pictures(tmp_path, 3, 4), 2)])
    page.locator("#see:not([disabled])").click()
    visitor.see(says.BASELINE)
    visitor.tab("train")
    page.locator("#methods [data-method=coop].pl-method[aria-pressed=true]").click()
    page.locator("#methods [data-method=coop].pl-method[aria-pressed=false]").wait_for()
    page.locator("#go_train:not([disabled])").click()
    visitor.see("vs zero-shot", "#train_done")
    visitor.tab("compare")
    visitor.see(says.ONE_RUN, "#compare_next")
    visitor.tab("inspect")
    page.locator("#lenses").get_by_role("tab", name="Prompt").click()
    visitor.see(says.NO_WORDS.format("Tip-Adapter"))
    page.locator("#words_said").get_by_text("More", exact=True).click()
    visitor.see("The same as a table")
    page.locator("#lenses").get_by_role("tab", name="Map").click()
    visitor.see(re.compile(r"A map needs 5 points or more and there are \d"))


def test_a_backbone_without_attention_gets_an_occlusion_map(chromium):
    clip = tiny_backbone("resnet")

    def start(session):
        session.given[clip.name] = clip
        session.settings["backbone"] = clip.name

    app = build_app(start)
    _, url, _ = launch(app, port=None, wait=False, quiet=True)
    v = Visitor(chromium, url)
    v.sample()
    v.tab("inspect")
    v.see("tiny-resnet has no attention that could be read, so this is an occlusion map")
    v.see("Deleting what this map marks")
    v.page.locator("#evidence .pl-split").wait_for()
    v.close()
    app.close()


def test_a_model_that_is_not_here_names_its_size_and_the_way_back(visitor, monkeypatch):  # noqa: F811
    def cut(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(checkpoint.urllib.request, "urlopen", cut)
    monkeypatch.setattr(checkpoint, "_cached", lambda entry: None)
    page = visitor.page
    visitor.sample()
    page.get_by_text("Backbone, device, seed").click()
    page.locator("#backbones li", has_text="RN50:openai").get_by_role("button").click()
    visitor.see(says.offline("RN50", "409 MB"), "#status")
    page.locator("#status").get_by_text("Use the demo CLIP").click()
    visitor.see(says.IDLE, "#status")
    page.locator("#status .pl-error").wait_for(state="detached")
    visitor.see("held out to judge by")  # the shots are still there


def test_where_memory_ends_what_was_learned_is_kept(visitor, monkeypatch):  # noqa: F811
    memory_ends(monkeypatch, CoOp, 5)
    visitor.sample()
    train_coop(visitor)
    visitor.see("memory ended; what was learned so far is kept, a smaller batch or method goes further", "#train_done")
    visitor.see("CoOp (memory ended)", "#runs")


def test_who_waits_sees_its_place_and_can_leave_the_queue(chromium, served):
    one, two = Visitor(chromium, served), Visitor(chromium, served)
    for v in (one, two):
        v.sample()
    train_coop(one, "20000")
    one.see(re.compile("step \\d+ of 20000"), "#progress")
    train_coop(two)
    two.see("1 person before you", "#progress")
    two.see("Stop works while you wait.", "#status")
    two.page.locator("#stop:not([disabled])").click()
    two.see(says.STOPPED_EARLY, "#train_done")
    one.see(re.compile("step \\d+ of 20000"), "#progress")
    one.page.locator("#stop:not([disabled])").click()
    one.see("what was learned so far is kept", "#train_done")
    one.close()
    two.close()


def test_after_a_restart_the_settings_are_back_and_the_page_says_what_is_not(visitor):  # noqa: F811
    page = visitor.page
    visitor.sample()
    kept = "localStorage.getItem('promptlab-settings')"
    page.wait_for_timeout(500)  # the ticked methods of the sample are kept too
    first = page.evaluate(kept)
    page.get_by_label("Project").first.fill("Owls of my garden")
    page.wait_for_function(f"before => {kept} !== before", arg=first)
    page.get_by_text("Backbone, device, seed").click()
    seed, second = page.get_by_label("Seed"), page.evaluate(kept)
    seed.fill("7")
    seed.blur()
    page.wait_for_function(f"before => {kept} !== before", arg=second)
    SESSIONS.clear()  # what a restart leaves: a browser that knows its token, and a server that does not
    page.locator("#sample").click()
    visitor.see(says.NO_SESSION, "#status")
    visitor.reload()
    visitor.see(says.RETURNED.split(".")[0], "#status")
    visitor.see(says.NO_SHOTS.split(".")[0], "#board")
    assert page.get_by_label("Project").first.input_value() == "Owls of my garden"
    page.get_by_text("Backbone, device, seed").click()
    assert page.get_by_label("Seed").input_value() == "7"
    page.locator("#status").get_by_text("Dismiss").click()
    page.locator("#status .pl-info").wait_for(state="detached")


def test_a_bug_is_a_short_sentence_and_a_report_without_a_traceback(visitor, monkeypatch):  # noqa: F811
    def broken(*_, **__):
        raise ZeroDivisionError("a mistake of ours")

    with monkeypatch.context() as patched:
        patched.setattr(core, "opened", broken)
        visitor.page.locator("#sample").click()
        visitor.see(says.BUG.format(what="sample"), "#status")
    report = visitor.page.locator("#bug textarea").input_value()
    assert "promptlab app: ZeroDivisionError in sample" in report and "torch: " in report and "backbone: pocket" in report
    assert "Traceback" not in report and "line " not in report
    visitor.sample()  # nothing is lost by it


