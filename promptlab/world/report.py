"""Zero-shot accuracy of a CLIP on the picture world: over all names, and on the named tasks.

    python -m promptlab.world.report --out docs/pocket.md --hardware "2 cores of ..."
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.world.atlas import Atlas, load_atlas
from promptlab.world.captions import TEMPLATES
from promptlab.world.draw import draw
from promptlab.world.sampler import random_plan
from promptlab.world.scene import MAX_OBJECTS, SEEN_STYLES, STYLES, UNSEEN_STYLES
from promptlab.world.tasks import TASKS, WorldTask, task_spec

Encode = Callable[[list[str]], Tensor]
MEAN, STD = 0.5, 0.25  # what pocket's towers expect


def name_features(encode: Encode, names: Sequence[str], templates: Sequence[str] = TEMPLATES) -> Tensor:
    """Ensembled unit text features [C, E]: the mean over templates of unit features, made unit again."""
    total = torch.zeros(())
    for template in templates:
        texts = [template.format(name) for name in names]
        total = total + torch.cat([F.normalize(encode(texts[i:i + 128]).float(), dim=-1) for i in range(0, len(texts), 128)])
    return F.normalize(total, dim=-1)


def image_features(model: torch.nn.Module, pixels: Tensor) -> Tensor:
    """Unit image features [B, E] of uint8 pictures [B, 3, S, S]."""
    device = next(model.parameters()).device
    parts = [model.encode_image((p.to(device).float() / 255 - MEAN) / STD).float() for p in pixels.split(64)]
    return F.normalize(torch.cat(parts), dim=-1)


def patch_features(model: torch.nn.Module, pixels: Tensor) -> Tensor:
    """Unit features [B, M, E] of patches by the value path of the last block (MaskCLIP), for open_clip's native ViT."""
    visual, device = model.visual, next(model.parameters()).device
    last, attn = visual.transformer.resblocks[-1], visual.transformer.resblocks[-1].attn
    found = visual.forward_intermediates((pixels.to(device).float() / 255 - MEAN) / STD, indices=[len(visual.transformer.resblocks) - 2],
                                         intermediates_only=True, output_fmt="NLC")
    x = last.ln_1(found["image_intermediates"][0])
    width = x.shape[-1]
    value = attn.out_proj(F.linear(x, attn.in_proj_weight[2 * width:], attn.in_proj_bias[2 * width:]))
    return F.normalize(visual.ln_post(value) @ visual.proj, dim=-1)


def name_pictures(atlas: Atlas, ids: list[int], style: str, seed: int, side: int = 64) -> Tensor:
    """One picture of each object alone in one style, uint8 [C, 3, S, S]; seeds here never meet those of pretraining."""
    objects = torch.full((len(ids), MAX_OBJECTS), -1)
    objects[:, 0] = torch.tensor(ids)
    generator = torch.Generator().manual_seed(-1 - seed)
    styles = torch.full((len(ids),), STYLES.index(style))
    return draw(random_plan(objects, styles, generator), atlas, side, truth=False)[0]


def accuracy(x: Tensor, text: Tensor, truth: Tensor) -> float:
    """Top-1 in percent of unit features [B, E] against class features [C, E]."""
    return round(100 * ((x @ text.T).argmax(1).cpu() == truth).float().mean().item(), 1)


@torch.no_grad()
def quick_zero_shot(model: torch.nn.Module, encode: Encode, atlas: Atlas, styles: Sequence[str] = SEEN_STYLES, repeats: int = 1,
                    templates: Sequence[str] = TEMPLATES[:3]) -> dict[str, float]:
    """Top-1 in percent per style over all pretrained names; and of the names never shown, among all names and among themselves (photo)."""
    text = name_features(encode, atlas.names, templates)
    seen, never = torch.tensor(atlas.seen), torch.tensor(atlas.unseen)
    out = {}
    for style in styles:
        x = torch.cat([image_features(model, name_pictures(atlas, atlas.seen, style, r)) for r in range(repeats)])
        out[style] = accuracy(x, text[seen], torch.arange(len(seen)).repeat(repeats))
    x = torch.cat([image_features(model, name_pictures(atlas, atlas.unseen, "photo", 100 + r)) for r in range(4 * repeats)])
    out["names never shown, among all"] = accuracy(x, text, never.repeat(4 * repeats))
    out["names never shown, among themselves"] = accuracy(x, text[never], torch.arange(len(never)).repeat(4 * repeats))
    return out


def average_precision(score: Tensor, label: Tensor) -> float:
    """Mean over classes of the average precision in percent, score and label [B, C]."""
    order = score.argsort(0, descending=True)
    hit = label.gather(0, order).float()
    precision = hit.cumsum(0) / torch.arange(1, len(hit) + 1)[:, None]
    return round(100 * ((precision * hit).sum(0) / hit.sum(0).clamp(min=1)).mean().item(), 1)


@torch.no_grad()
def task_zero_shot(model: torch.nn.Module, encode: Encode, task: WorldTask, split: str = "test",
                   limit: int | None = None) -> dict[str, float]:
    """Zero-shot numbers of one task in percent, template ensemble. single: all, base, new (each half among itself), never shown (those
    classes among all); multi: mean average precision; dense: object pixels whose patch is named rightly among the object classes."""
    names = task.classes[1:] if task.kind == "dense" else task.classes
    text = name_features(encode, names, task.templates)
    made = task.render(split, range(min(limit or task.count(split), task.count(split))))
    if task.kind == "dense":
        patches = patch_features(model, made.pixels) @ text.T
        grid = int(patches.shape[1] ** 0.5)
        scores = patches.cpu().transpose(1, 2).unflatten(2, (grid, grid))
        best = F.interpolate(scores, size=made.labels.shape[-2:], mode="bilinear", align_corners=False).argmax(1)
        there = made.labels > 0
        return {"object pixels": round(100 * (best[there] == made.labels[there] - 1).float().mean().item(), 1)}
    x = image_features(model, made.pixels)
    if task.kind == "multi":
        return {"mAP": average_precision((x @ text.T).cpu(), made.labels)}
    half, truth = len(names) // 2, made.labels
    out = {"all": accuracy(x, text, truth)}
    out["base"] = accuracy(x[truth < half], text[:half], truth[truth < half])
    out["new"] = accuracy(x[truth >= half], text[half:], truth[truth >= half] - half)
    if task.held_out:
        rare = torch.isin(truth, torch.tensor([names.index(n) for n in task.held_out]))
        out["never shown"] = accuracy(x[rare], text, truth[rare])
    return out


@dataclass
class Report:
    """`names`: style -> accuracy over all pretrained names, and the two rows of names never shown; `tasks`: TASK@STYLE -> numbers."""

    names: dict[str, float]
    tasks: dict[str, dict[str, float]] = field(default_factory=dict)

    def headline(self, task: str, style: str) -> float:
        """The first number of a task in a style."""
        return next(iter(self.tasks[f"{task}@{style}"].values()))

    def markdown(self) -> str:
        """Two tables: names by style, and tasks by style."""
        lines = ["| all pretrained names | top-1 % |", "|---|---|"]
        lines += [f"| {k}{' (never seen)' if k in UNSEEN_STYLES else ''} | {v} |" for k, v in self.names.items()]
        tasks = list(dict.fromkeys(k.split("@")[0] for k in self.tasks))
        styles = list(dict.fromkeys(k.split("@")[1] for k in self.tasks))
        head = " | ".join(f"*{s}*" if s in UNSEEN_STYLES else s for s in styles)
        lines += ["", f"| task | {head} |", "|---|" + "---|" * len(styles)]
        lines += [f"| {t} | " + " | ".join(str(self.headline(t, s)) for s in styles) + " |" for t in tasks]
        return "\n".join(lines)


def zero_shot_report(model: torch.nn.Module, encode: Encode, *, split: str = "test", tasks: Sequence[str] = TASKS,
                     styles: Sequence[str] = STYLES, repeats: int = 2, limit: int | None = None,
                     task_styles: Sequence[str] = ("photo", *UNSEEN_STYLES)) -> Report:
    """The whole table: names in `styles`, tasks in `task_styles` with at most `limit` pictures each. `model` is an
    open_clip CLIP in evaluation mode, `encode` turns strings into text features [N, E]."""
    report = Report(quick_zero_shot(model, encode, load_atlas(), styles, repeats, TEMPLATES))
    for task in tasks:
        for style in task_styles:
            report.tasks[f"{task}@{style}"] = task_zero_shot(model, encode, task_spec(f"{task}@{style}"), split, limit)
    return report


def main() -> None:
    from promptlab.backbones.pocket import PocketTokenizer, encode_short, load_pocket, pocket_metadata
    from promptlab.world.report_page import page

    parser = argparse.ArgumentParser(description="Measure the pocket backbone on the picture world and write the page of figures.")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hardware", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, help="at most this many pictures of each task")
    parser.add_argument("--note", default="", help="a sentence to add about the run")
    args = parser.parse_args()
    model, tokenizer = load_pocket(args.weights), PocketTokenizer()
    report = zero_shot_report(model, lambda texts: encode_short(model, tokenizer.short(texts)), split=args.split, limit=args.limit)
    text = page(report, pocket_metadata(args.weights), date.today().isoformat(), args.hardware, args.split, args.limit,
                args.note)
    args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
