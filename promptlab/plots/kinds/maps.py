"""Maps over a picture: evidence, masks, transport, attention, pictures."""

import numpy as np

from promptlab.inspect.exhibit import Exhibit
from promptlab.plots.panels import MOST, Panel, Slides, shared

HEADS = 4  # panels of heads and of prompts


def maps(e: Exhibit) -> list[Panel]:
    """The picture, then each map over it; "before" and "after" share one colour scale."""
    under = e.arrays.get("picture")
    out = [Panel("picture", "picture", under)] if under is not None else []
    compared = [k for k in ("before", "after") if k in e.arrays]
    scale = shared(*(e.arrays[k] for k in compared)) if compared else {}
    said = {"before": e.settings.get("before", "zero-shot"), "after": "tuned", "control": "random prompt"}
    for k, z in e.arrays.items():
        if k in ("picture", "label"):
            continue
        diverging = bool(z.min() < 0 < z.max()) and k not in compared
        bound = float(np.abs(z).max())
        own = {"low": -bound, "high": bound, "diverging": True} if diverging else shared(z)
        out.append(Panel("heat", said.get(k, k.replace("_", " ")), z, under, **(scale if k in compared else own)))
    return out


def transport(e: Exhibit) -> list[Panel]:
    """Where each prompt's mass goes, and how even the plan is at other eps."""
    return _transport(e, e.arrays["maps"])


def _transport(e: Exhibit, where: np.ndarray) -> list[Panel]:
    a, picture = e.arrays, e.arrays["picture"]
    n, h, w = where.shape
    over = h > 1  # regions of a grid; several image features (h = 1) have no place in the picture
    top = max(2 / (h * w), float(a["maps"].max()))  # twice the uniform plan's, so that an even plan looks even
    out = [Panel("picture", "picture", picture)]
    if over:
        out += [Panel("heat", name, z, picture, low=0.0, high=top) for name, z in zip(e.labels["prompt"][:MOST], where)]
    else:
        names = tuple(f"feature {i + 1}" for i in range(w))
        out.append(Panel("heat", "share of each prompt's mass", where[:, 0], low=0.0, high=top, y_names=tuple(e.labels["prompt"]),
                         x_names=names))
    if "eps_entropy" in a:
        now = ((float(e.settings["eps"]), "now"),)
        out.append(Panel("lines", "entropy of the plan (1: uniform)", series=(("entropy", a["eps"], a["eps_entropy"], {}),), x_title="eps",
                         log=True, marks=now))
    return out


def transport_slides(e: Exhibit) -> list[Slides]:
    """Sinkhorn's sweeps at the method's eps, and other eps swept until the marginals hold."""
    out = []
    if "steps" in e.arrays and len(e.arrays["steps"]) > 1:
        frames = tuple(_transport(e, z) for z in e.arrays["steps"])
        out.append(Slides(f"sweeps at eps {e.settings['eps']:g}", tuple(e.labels["sweep"]), frames, len(frames) - 1))
    if "eps_maps" in e.arrays:
        frames = tuple(_transport(e, z) for z in e.arrays["eps_maps"])
        near = int(np.abs(np.log(e.arrays["eps"] / max(e.settings["eps"], 1e-12))).argmin())
        out.append(Slides("eps, swept to the end", tuple(f"{v:g}" for v in e.arrays["eps"]), frames, near))
    return out


def attention(e: Exhibit) -> list[Panel]:
    """Rollout and relevance of both towers, then the last layer's heads and the prompts."""
    return _attention(e, len(e.arrays["after"]) - 1)


def _attention(e: Exhibit, layer: int) -> list[Panel]:
    a, grid, lead = e.arrays, tuple(e.settings["grid"]), e.settings["lead"]
    under, m = a.get("picture"), grid[0] * grid[1]
    start = e.settings.get("before", "zero-shot")
    out: list[Panel] = []
    for name in ("rollout", "relevance"):
        both = [a[k] for k in (f"{name}_before", f"{name}_after") if k in a]
        scale = shared(*both) if both else {}
        out += [Panel("heat", f"{name}, {w}", z.reshape(grid), under, **scale) for z, w in zip(both, (start, "tuned"))]
    heads = [x[:, :, 0, lead : lead + m] for x in (a["before"], a["after"])]
    scale = {"low": 0.0, "high": max(float(x[layer].max()) for x in heads)}
    out += [Panel("heat", f"mean of heads, {w}", x[layer].mean(0).reshape(grid), under, **scale) for x, w in zip(heads, (start, "tuned"))]
    out += [Panel("heat", f"head {h + 1}, tuned", z.reshape(grid), under, **scale) for h, z in enumerate(heads[1][layer][:HEADS])]
    for key, said in (("prompt_to_patches", "prompt {} looks at"), ("patches_to_prompt", "who looks at prompt {}")):
        rows = a.get(key, np.zeros((1, 0, m)))
        if rows.shape[1]:
            scale = {"low": 0.0, "high": float(rows.max())}
            out += [Panel("heat", said.format(i + 1), z.reshape(grid), under, **scale) for i, z in enumerate(rows[layer][:HEADS])]
    if a["patch_to_prompt"].shape[1]:
        out += _layers(e)
    return out


def _layers(e: Exhibit) -> list[Panel]:
    names = tuple(f"prompt {i + 1}" for i in range(e.arrays["patch_to_prompt"].shape[1]))
    layers = tuple(str(i + 1) for i in range(len(e.arrays["patch_to_prompt"])))
    said = (("patch_to_prompt", "patches looking at prompts"), ("prompt_to_patch", "prompts looking at patches"))
    return [Panel("heat", t, e.arrays[k], x_names=names, y_names=layers, y_title="layer", **shared(e.arrays[k]))
            for k, t in said if k in e.arrays]


def attention_slides(e: Exhibit) -> list[Slides]:
    """One place a layer."""
    n = len(e.arrays["after"])
    return [Slides("layer of heads and prompts", tuple(str(i + 1) for i in range(n)), tuple(_attention(e, i) for i in range(n)), n - 1)]


def images(e: Exhibit) -> list[Panel]:
    """Pictures beside each other."""
    return [Panel("picture", k, z) for k, z in e.arrays.items() if z.ndim == 3]


def text_heat(e: Exhibit) -> list[Panel]:
    """Rows are layers; two states share one scale, two measures do not."""
    out, start = [], e.settings.get("before", "zero-shot")
    for k, z in e.arrays.items():
        if z.ndim != 2:
            continue
        scale = shared(*(v for v in e.arrays.values() if v.ndim == 2)) if "before" in e.arrays else shared(z)
        names = tuple(e.labels.get(k, next((v for v in e.labels.values() if len(v) == z.shape[1]), ())))
        rows = tuple(e.labels.get("layer", [str(i + 1) for i in range(len(z))]))
        said = {"before": start, "after": "tuned"}.get(k, k)
        titles = {"x_title": e.settings.get("x", ""), "y_title": e.settings.get("y", "layer")}
        out.append(Panel("heat", said, z, x_names=names, y_names=rows, **titles, **scale))
    return out


PANELS = {"attention": attention, "heat": text_heat, "images": images, "maps": maps, "transport": transport}
SLIDES = {"attention": attention_slides, "transport": transport_slides}
