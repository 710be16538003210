"""In a real browser: facts of the backbones before they are loaded, the device, search and baseline of Compare, names on the map."""

import re

import pytest

from promptlab.ui import facts
from tests.ui.test_browser import Visitor, quick, visitor  # noqa: F401 - a fixture

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_backbones_say_what_they_cost_before_they_are_loaded(visitor):  # noqa: F811
    page = visitor.page
    page.get_by_text("Backbone, device, seed").click()
    rows = page.locator("#backbones li")
    rows.nth(len(facts.CHOICES) - 1).wait_for()
    visitor.see("5.5 M parameters · 22 MB · licence Apache-2.0", "#backbones")
    for name in facts.CHOICES[1:]:
        said = rows.filter(has_text=name).first.inner_text()
        assert re.search(r"\d+ M parameters · [\d,]+ MB · licence (MIT|Apache-2\.0)", said) and "downloaded" in said, said
    box = page.locator("#backbone input, #backbone textarea").first
    box.fill("ViT-L-14:laion2b_s32b_b82k")
    box.press("Enter")
    visitor.see("428 M parameters", "#backbones")
    visitor.see("pocket: 5.5 M parameters, 22 MB in memory, pictures of 64 px, on cpu.", "#side")  # nothing was loaded


def test_the_device_can_be_chosen_where_torch_sees_it(visitor):  # noqa: F811
    page = visitor.page
    page.get_by_text("Backbone, device, seed").click()
    page.locator("#devices [data-to=cpu]").wait_for()
    for name, why in facts.devices().items():
        key = page.locator(f"#devices [data-to={name}]")
        assert key.is_disabled() == bool(why)
        if why:
            visitor.see(why, "#devices")
    page.locator("#devices [data-to=cpu]").focus()
    page.keyboard.press("Enter")
    page.locator("#devices [data-to=cpu][aria-pressed=true]").wait_for()


def test_runs_are_searched_and_compared_with_a_baseline_by_keyboard(visitor):  # noqa: F811
    page = visitor.page
    visitor.sample()
    visitor.tab("train")
    quick(visitor, "12")
    page.locator("#go_train:not([disabled])").click()
    visitor.see(re.compile(r"CoOp .* vs zero-shot"), "#train_done")
    visitor.tab("compare")
    table = page.locator("#compare_table")
    table.locator("[data-act=baseline]").nth(1).wait_for()
    pin = table.locator("tr", has_text="CoOp").locator("[data-act=baseline]").first
    pin.focus()
    page.keyboard.press("Enter")
    table.get_by_text("over CoOp").first.wait_for()
    table.locator("[data-act=baseline][aria-pressed=true]:focus").wait_for()  # the focus stays where it was
    table.locator("summary").first.click()
    table.get_by_role("cell", name="device", exact=True).first.wait_for()
    box = page.locator("#find input, #find textarea").first
    box.fill("n_ctx")  # as when pasted
    visitor.see("1 of 2 rows match 'n_ctx'", "#compare_table")
    box.press("End")
    page.keyboard.type("zebra")
    visitor.see("No run matches 'n_ctxzebra'", "#compare_table")
    page.locator("#diff input").click()  # answers come and go while the manifest is unfolded, and it stays so
    table.get_by_role("cell", name="device", exact=True).wait_for(state="detached")
    assert table.locator("details[open]").count() == 1


def test_names_on_the_map_do_not_lie_on_one_another(visitor):  # noqa: F811
    page = visitor.page
    visitor.sample()
    visitor.tab("inspect")
    page.locator("#lenses").get_by_role("tab", name="Map").click()
    page.locator("#map .textpoint text").first.wait_for()
    page.wait_for_timeout(1500)
    boxes = page.evaluate(
        "[...document.querySelectorAll('#map .textpoint text')].map(e => e.getBoundingClientRect()).filter(r => r.width > 0)"
        ".map(r => [r.x, r.y, r.width, r.height])"
    )
    assert len(boxes) >= 5
    over = [
        (a, b)
        for i, a in enumerate(boxes)
        for b in boxes[:i]
        if min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]) > 2 and min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]) > 4
    ]
    assert not over


def test_cards_of_the_methods_are_folded_on_a_phone(chromium, served):
    v = Visitor(chromium, served, 390, 844)
    v.page.wait_for_timeout(600)
    v.sample()
    v.tab("train", "3 Train")
    fold = v.page.locator("#methods details").first
    fold.wait_for()
    assert v.page.locator("#methods details[open]").count() == 0
    assert v.page.evaluate("document.documentElement.scrollHeight") < 3 * 844
    fold.locator("summary").click()
    fold.locator(".pl-method:not([disabled])").first.click()  # what was unfolded stays so when the answer replaces the list
    fold.locator(".pl-method[aria-pressed]").first.wait_for()
    v.page.wait_for_timeout(1500)
    assert v.page.locator("#methods details[open]").count() == 1
    v.close()


def test_names_and_searches_take_what_is_pasted_and_deleted(visitor):  # noqa: F811
    page = visitor.page
    visitor.sample()
    visitor.tab("zero")
    bars = page.locator("#zero_bars .ytick")
    bars.first.wait_for()
    box = page.locator("#names textarea")
    box.fill("zebra, fox")  # one change, no key
    bars.get_by_text("zebra").wait_for()
    box.press("End")
    for _ in range(5):
        box.press("Backspace")  # "zebra": one name is too few, and the bars stay
    visitor.see("type two names or more", "#status")
    box.fill("wolf, fox")
    bars.get_by_text("wolf").wait_for()
    visitor.tab("train")
    cards = page.locator("#methods [data-method].pl-method")
    cards.nth(5).wait_for()
    whole, search = cards.count(), page.locator("#search input, #search textarea").first
    page.get_by_text("Filter the methods").click()
    search.fill("tip-adapter")
    page.wait_for_function(f"document.querySelectorAll('#methods [data-method].pl-method').length < {whole}")
    for _ in range(len("tip-adapter")):
        search.press("Backspace")
    page.wait_for_function(f"document.querySelectorAll('#methods [data-method].pl-method').length == {whole}")
