"""Attention of the two towers, zero-shot beside tuned."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from promptlab.errors import WrongKind
from promptlab.inspect.evidence import class_score, picture, plain_of, relevance
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import class_index, method_of, need, one_picture
from promptlab.method import Method, sandbox
from promptlab.parts.context import Context


def stack(seen: dict[str, Tensor], side: str) -> Tensor:
    """Tapped patterns of one input, by layer: [L, H, T, T]; where a method adds tokens in later layers only, T is the largest and the
    missing rows and columns are 0."""
    found = sorted(((int(k.split(".")[2]), v[0]) for k, v in seen.items() if k.startswith(f"{side}.block.") and k.endswith("pattern")))
    t = max(v.shape[-1] for _, v in found)
    out = torch.zeros(len(found), found[0][1].shape[0], t, t)
    for i, (_, v) in enumerate(found):
        out[i, :, : v.shape[-2], : v.shape[-1]] = v.detach().float().cpu()
    return out


def rollout(patterns: Tensor) -> Tensor:
    """Attention rollout [T, T] of patterns [L, H, T, T]: product over layers of (mean over heads + identity) / 2 (arXiv:2005.00928)."""
    mixed = torch.eye(patterns.shape[-1])
    for layer in patterns.mean(1):
        a = layer + torch.eye(layer.shape[-1])
        mixed = a / a.sum(-1, keepdim=True) @ mixed
    return mixed


def _row_error(patterns: Tensor) -> float:
    sums = patterns.sum(-1)
    return float((sums[sums > 0] - 1).abs().max())


def attention(subject: Any, image: Any, name: str | int | None = None, *, versus: Any = None) -> Exhibit:
    """Image tower: who looks at what, per layer and head, and what of it mattered for a class (default: the predicted one).

    arrays: ``before``, ``after`` [L, H, T, T] (rows sum to one; token order: class token, patches row-major, added prompt tokens),
    ``rollout_before``, ``rollout_after`` [M] from the class token to the patches, ``relevance_before``, ``relevance_after`` [M] gradient
    x attention over all layers for the class, ``prompt_to_patches`` and ``patches_to_prompt`` [L, n, M] (mean over heads),
    ``prompt_to_patch`` and ``patch_to_prompt`` [L, n], their sum and mean over patches (all empty without added tokens), ``picture``.
    ``versus``: another run in place of zero-shot. settings: ``grid``, ``lead`` (class token and registers), ``class``.
    """
    method = method_of(subject)
    need(method, "attention")
    clip, batch = method.backbone, one_picture(method, image)
    glob, lead, grid = "image.block.*.attn.pattern", clip.image.lead, clip.grid
    plain, start = (plain_of(method), "zero-shot") if versus is None else (method_of(versus), method_of(versus).card.name)
    with sandbox(method), sandbox(plain):
        with torch.no_grad():
            after, before = (stack(m.image(batch, taps=[glob]).taps, "image") for m in (method, plain))
        c, mattered = _relevances(plain, method, batch, name)
    m = grid[0] * grid[1]
    patches, prompts = slice(lead, lead + m), slice(lead + m, after.shape[-1])
    to_patches, to_prompt = after[:, :, prompts, patches].mean(1), after[:, :, patches, prompts].mean(1).mT
    arrays = {
        "before": before, "after": after,
        "rollout_before": rollout(before)[0, patches], "rollout_after": rollout(after)[0, patches], **mattered,
        "prompt_to_patches": to_patches, "patches_to_prompt": to_prompt,
        "prompt_to_patch": to_patches.sum(-1), "patch_to_prompt": to_prompt.mean(-1),
    }
    return Exhibit(
        "attention",
        f"Attention of the image tower, {start} and {method.card.name}",
        {k: v.numpy() for k, v in arrays.items()} | {"picture": picture(method, batch)},
        {},
        "Both towers share one colour scale. Attention says where values were mixed; relevance weighs it by what decided.",
        (Sanity("largest error of a row's sum", max(_row_error(before), _row_error(after))),),
        {"grid": list(grid), "lead": lead, "class": c, "before": start},
    )


def _relevances(plain: Method, method: Method, batch: Any, name: str | int | None) -> tuple[str | None, dict[str, Tensor]]:
    """The class and its relevance maps; none for methods that answer with maps or read the picture by a path without attention."""
    if method.task.kind == "dense":
        return None, {}
    with torch.no_grad():
        c = class_index(method, name, method(batch, method.bank()).pred[0])
    maps = {f"relevance_{when}": relevance(m, batch, class_score(c)) for when, m in (("before", plain), ("after", method))}
    return method.task.classes.names[c], {k: v for k, v in maps.items() if v is not None}


@torch.no_grad()
def text_attention(subject: Any, name: str | int | None = None) -> Exhibit:
    """Text tower: what the end token of one class's prompt reads, per layer (mean over heads).

    arrays: ``before`` [L, P] on the hand-written prompt, ``after`` [L, P'] on the learned one. labels: the tokens of each, with
    ``[v1]``, ``[v2]`` ... for learned vectors.
    """
    method = method_of(subject)
    need(method, "text-deep")
    clip, names = method.backbone, method.task.classes
    c = class_index(method, name if name is not None else 0, torch.zeros(len(names)))
    glob = "text.block.*.attn.pattern"
    plain = names.prompts()[c]
    before = stack(clip.encode_text([plain], (), [glob]).taps, "text")
    ids = clip.tokenize([plain])
    eot = int(clip.ends(ids.to(clip.device))[0])
    learned, labels = _learned(method, c, glob)
    arrays = {"before": before[:, :, eot, : eot + 1].mean(1), "after": learned}
    return Exhibit(
        "heat",
        f"What the end token of '{names.names[c]}' reads, zero-shot and {method.card.name}",
        {k: v.numpy() for k, v in arrays.items()},
        {"before": _words(clip, ids[0, : eot + 1].tolist()), "after": labels},
        "Rows are layers; each row sums to one.",
        (Sanity("largest error of a row's sum", float(max((a.sum(-1) - 1).abs().max() for a in arrays.values()))),),
    )


def _learned(method: Method, c: int, glob: str) -> tuple[Tensor, list[str]]:
    """Mean-over-heads attention [L, P] of the end token of class ``c``'s prompt as the method encodes it, and that prompt's tokens.

    Image-conditioned contexts are shown without their shift; a method without learned context reads the hand-written prompt.
    """
    clip, names = method.backbone, method.task.classes
    context = next((m for m in method.modules() if isinstance(m, Context)), None)
    if context is not None and context.ctx is None:
        raise WrongKind(f"{method.card.name} makes its context anew and keeps no vectors of it; look at its shift or evidence instead.")
    x = clip.prompts([names.prompts()[c]]) if context is None else context.inputs(names).plain().select([c])
    with sandbox(method):
        edits = [e for e in method.edits() if e.at.startswith("text.")]
        patterns = stack(clip.encode_text(x, edits, [glob]).taps, "text")
    eot = int(x.eot[0])
    labels = _words(clip, x.ids[0, : eot + 1].tolist())
    if context is not None:
        start, m = len(clip.words.start), len(clip.tokens(names.clean[c]))
        for i in range(context.n_ctx):
            labels[start + i + (m if i >= context.before else 0)] = f"[v{i + 1}]"
    return patterns[:, :, eot, : eot + 1].mean(1), labels


def _words(clip: Any, ids: list[int]) -> list[str]:
    return [clip.words.decode([i]).strip() or "·" for i in ids]


def peak(values: np.ndarray, grid: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the largest value of a map [M]."""
    return divmod(int(np.argmax(values)), grid[1])


EXHIBITS = {"attention": attention, "text_attention": text_attention}
