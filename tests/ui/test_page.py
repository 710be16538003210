"""What holds the screens together: a press inside an answer, a screen that cannot be drawn, the width of the page."""

import pytest

from promptlab.errors import BadData
from promptlab.ui import build_app, says
from promptlab.ui.handlers import acts, frame, inspect, shots, train
from promptlab.ui.screens.wire import Page
from tests.ui.test_handlers import fitted


def test_a_screen_that_fails_is_reported_and_the_rest_stays(ready):
    def broken(session):
        raise KeyError("no such thing")

    page = Page()
    shown = page.safely(ready, broken)
    assert set(shown) == {"bug", "bug_box"} and "KeyError" in shown["bug"] and ready.failed.startswith("Something went wrong in broken")
    assert page.safely(ready, shots.show)["board"]


def test_nothing_to_change_is_no_error_for_gradio():
    assert Page().update({}) and build_app() is not None  # gr.skip(), not an empty dictionary


def test_a_method_without_words_leads_elsewhere(ready):
    fitted(ready, "taskres")
    said = inspect.lens(ready, "prompt")["words_said"]
    assert 'data-act="lens" data-to="more"' in said and 'data-to="evidence"' in said
    view = acts.press(ready, {"act": "lens", "to": "more"})
    assert view["lenses"]["selected"] == "more" and view["exhibit"]["value"]
    assert acts.press(ready, {"act": "lens", "to": "<b>"})["lenses"]["selected"] == "evidence"


def test_the_way_back_to_the_demo_backbone(ready):
    ready.fail(says.offline("ViT-B-32", "605 MB"))
    assert 'data-act="pocket"' in frame.status(ready)
    assert acts.press(ready, {"act": "pocket"})["backbone"]["value"] == "pocket" and ready.zero is not None
    ready.fail("another error.")
    assert 'data-act="pocket"' not in frame.status(ready)


@pytest.mark.parametrize(("said", "kept"), [(390, 390), (1, 200), (None, 1280), (10**9, 8000)])
def test_the_width_of_the_page(ready, said, kept):
    frame.wide(ready, said)
    assert ready.wide == kept
    ready.put(ready.data)
    assert ready.wide == kept


def test_what_is_ticked_stands_above_the_cards(ready):
    assert "Ticked:" in train.cards(ready) and "CoOp ×" in train.cards(ready)
    for key in list(ready.chosen):
        acts.press(ready, {"act": "tick", "method": key})
    assert "nothing yet" in train.cards(ready) and train.label(ready)["value"] == "Tick a method below"


def test_classes_of_a_sample_pack_are_folded(ready):
    assert f"All {len(ready.data.names)} classes" in shots.show(ready)["board"]


def test_an_unknown_press_is_one_sentence(ready):
    with pytest.raises(BadData, match="does not know"):
        acts.press(ready, {"act": "lenses"})
