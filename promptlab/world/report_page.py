"""The page `docs/pocket.md`, written from measured numbers."""

from promptlab.world.report import Report
from promptlab.world.scene import SEEN_STYLES, UNSEEN_STYLES
from promptlab.world.styles import GRAY, PIXELS, SKETCH, STITCHES, THERMAL
from promptlab.world.tasks import task_spec


def halves(report: Report) -> str:
    """Base, new and never-shown classes of the single-label tasks, in all never-seen styles and photo."""
    lines = ["| task | all | base | new | never shown |", "|---|---|---|---|---|"]
    for name, numbers in report.tasks.items():
        if task_spec(name).kind == "single" and name.split("@")[1] in ("photo", *UNSEEN_STYLES):
            lines.append(f"| {name} | " + " | ".join(str(numbers.get(k, "")) for k in ("all", "base", "new", "never shown")) + " |")
    return "\n".join(lines)


def page(report: Report, about: dict[str, object], day: str, hardware: str, split: str, limit: int | None = None, note: str = "") -> str:
    """Markdown of the whole page."""
    many = f"the first {limit}" if limit else "all"
    held_out = ", ".join(about["held_out_names"])
    return f"""# The pocket backbone: figures

Measured {day} on {hardware} with `python -m promptlab.world.report`.

`pocket` is an ordinary open_clip CLIP (ViT of 64 px, patch 8, width 192, 6 layers; text of width 192, 4 layers; 5.4 M parameters),
trained by `promptlab pretrain` on {about["pictures"]:,} pictures of the procedural world in {about["minutes"]} minutes
({about["steps"]} steps) on {about["device"]}. The pictures below were not trained on: same things,
other places, grounds, sizes and light. {note}

Seen in pretraining: {", ".join(SEEN_STYLES)}. Never seen: {", ".join(UNSEEN_STYLES)} (*slanted* below), and these names: {held_out}.

Zero-shot, mean of eight templates, {many} {split} pictures of each task. Tasks: top-1 among the task's classes;
`scenes` mean average precision; `scenes-masks` share of object pixels whose patch (value path of the last block, no fitting) is
named rightly among 20 names.

{report.markdown()}

## How strong the never-seen styles are

Their strength was set on validation pictures of the named tasks, so that zero-shot accuracy leaves room both ways:
`grayscale` takes {GRAY:.0%} of the colour away, `sketch` and `thermal` are mixed into the photo at {SKETCH:.0%} and {THERMAL:.0%},
`pixel-art` has {PIXELS} cells a side and `embroidery` {STITCHES} stitches.
At full strength the three that replace colour leave 12 to 17 % of the 40 animals right (validation pictures; chance is 2.5 %).

Most names never shown are made of words that other names teach: `dragon` and `cat face` were shown, `dragon face` was not. About half of
those are read among themselves; the others, and names such as `panda` or `scissors` whose words nothing ties to a look, are not. They cap
what zero-shot can reach on a task. They were chosen among the names of the atlas, by a first trained model, so that a third to a half of
them can be read.

## Base and new halves

Each half is judged among its own names; "never shown" are the task's classes that pretraining left out, judged among all its classes.

{halves(report)}
"""
