"""The table of Compare: the search, the pinned baseline, and the manifest behind the rows."""

import re
from html import unescape

from promptlab.ui import says
from promptlab.ui.handlers import acts, frame, rows
from tests.ui.test_handlers import fitted, text


def names(html):
    return [text(x).split()[0] for x in re.findall(r"<tr><td>(.*?)</td>", html.split("<details")[0])]


def test_the_search_reads_method_data_and_settings(ready):
    fitted(ready, "coop", "taskres")
    assert set(names(rows.overview(ready))) == {"Zero-shot", "CoOp", "TaskRes"}
    both = {"CoOp", "TaskRes"}
    cases = (("taskres", {"TaskRes"}), ("steps=4 batch=8", both), ("n_ctx", {"CoOp"}), ("vehicles adapter", {"TaskRes"}), ("seed 1", both))
    for words, left in cases:
        view = rows.find(ready, words)
        assert set(names(view["compare_table"])) == {"Zero-shot", *left}, words
        assert set(view["compare_bars"]["data"][0]["y"]) >= left
    assert "1 of 3 rows match 'TaskRes'; the baseline stays for comparison." in unescape(rows.find(ready, " TaskRes ")["compare_table"])
    nothing = rows.find(ready, "<b>zebra")["compare_table"]
    assert "<b>zebra" not in nothing and says.NO_MATCH.format("<b>zebra") in unescape(nothing) and names(nothing) == ["Zero-shot"]
    assert len(names(rows.find(ready, "")["compare_table"])) == 3


def test_a_pinned_row_is_what_the_others_are_compared_with(ready):
    fitted(ready, "coop", "taskres")
    plain = rows.overview(ready)
    assert "over zero-shot" in plain and "reference" in plain and "pl-gain" not in plain.split("<details")[0]
    coop = ready.runs[0]
    view = acts.press(ready, {"act": "baseline", "run": coop.id})
    table = view["compare_table"].split("<details")[0]
    assert ready.pinned == coop.id and "over CoOp" in table and names(table)[0] == "CoOp" and "baseline" in table
    assert "pl-gain" in table and "the line is CoOp" in view["compare_bars"]["layout"]["title"]["text"]
    trainable = {r["key"]: r["trainable"] for r in rows.groups(ready)}
    assert f"{trainable['taskres'] - trainable['coop']:+,d}" in table
    rows.find(ready, "taskres")
    assert names(rows.overview(ready)) == ["CoOp", "TaskRes"]
    acts.press(ready, {"act": "baseline", "run": coop.id})
    assert ready.pinned == ""
    acts.press(ready, {"act": "baseline", "run": "nobody"})
    assert ready.pinned == ""


def test_a_baseline_that_is_deleted_gives_its_place_back(ready):
    fitted(ready, "coop", "taskres")
    acts.press(ready, {"act": "pin", "run": ready.runs[0].id})
    assert "over CoOp" in rows.overview(ready)
    frame.do(ready, {"act": "forget", "run": ready.runs[0].id})
    assert ready.pinned == "" and "over zero-shot" in rows.overview(ready)


def test_the_manifest_shows_device_seed_and_versions(ready):
    fitted(ready, "coop", "taskres")
    shown = text(rows.overview(ready).split("<details")[1])
    for words in ("device cpu cpu cpu", "seed 1 1 1", "torch", "lr", "backbone", ready.runs[0].id):
        assert words in shown
    rows.diff_only(ready, True)
    shown = text(rows.overview(ready).split("<details")[1])
    assert "device cpu" not in shown and "trainable" not in shown and ready.runs[0].id in shown


def test_search_and_diff_are_kept_with_other_shots(ready):
    rows.find(ready, "coop")
    rows.diff_only(ready, True)
    ready.put(ready.data)
    assert frame.settings(ready)["find"] == "coop" and frame.settings(ready)["diff"] is True
