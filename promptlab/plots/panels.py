"""Any exhibit as a list of panels: what both libraries draw. Numbers in, nothing drawn here."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from promptlab.inspect.exhibit import Exhibit

WIDE = 8  # names on the horizontal axis
MOST_BARS = 20  # bars under one another
MOST = 6  # panels of one row of maps; more would not be readable at 400 px


@dataclass(frozen=True)
class Panel:
    """One pair of axes. ``what``: "heat" (z [h, w], optional ``under`` [H, W, 3]), "picture" (z [H, W, 3]), "lines", "bars" or "points".

    ``series``: (name, x, y, extras) of lines, bars and points; ``low``/``high``: colour range, shared where two panels compare;
    ``diverging``: zero is the middle of the colours.
    """

    what: str
    title: str = ""
    z: np.ndarray | None = None
    under: np.ndarray | None = None
    series: tuple = ()
    x_names: tuple[str, ...] = ()
    y_names: tuple[str, ...] = ()
    x_title: str = ""
    y_title: str = ""
    low: float | None = None
    high: float | None = None
    diverging: bool = False
    marks: tuple = field(default=())


def panels(e: Exhibit) -> list[Panel]:
    """The panels of an exhibit, left to right."""
    return _MAKERS[e.kind](e)


def is_wide(p: Panel) -> bool:
    """Whether a panel needs half a page or more."""
    return p.what in ("points", "bars", "lines") or len(p.x_names) > WIDE


def _shared(*arrays: np.ndarray) -> dict[str, float]:
    """One colour range for several maps."""
    return {"low": float(min(np.nanmin(a) for a in arrays)), "high": float(max(np.nanmax(a) for a in arrays))}


def _largest(z: np.ndarray) -> np.ndarray:
    """Indices of the values of [n] that are largest in size, at most MOST_BARS, without those that are not a number."""
    order = np.argsort(-np.abs(np.nan_to_num(z)), kind="stable")
    return order[~np.isnan(z[order])][:MOST_BARS]


def _of(title: str, order: np.ndarray, z: np.ndarray) -> str:
    """The title, saying so where not all are shown."""
    n = int((~np.isnan(z)).sum())
    return title if len(order) == n else f"{title} ({len(order)} largest of {n})"


def _attention(e: Exhibit) -> list[Panel]:
    grid, scale = tuple(e.settings["grid"]), _shared(e.arrays["rollout_before"], e.arrays["rollout_after"])
    out = [
        Panel("heat", f"rollout, {w}", e.arrays[f"rollout_{k}"].reshape(grid), **scale)
        for k, w in (("before", "zero-shot"), ("after", "tuned"))
    ]
    lead = e.settings["lead"]
    m = grid[0] * grid[1]
    last = e.arrays["after"][-1, :, 0, lead : lead + m]
    out += [Panel("heat", f"last layer, head {h + 1}", last[h].reshape(grid), **_shared(last)) for h in range(min(len(last), MOST - 2))]
    if e.arrays["patch_to_prompt"].shape[1]:
        rows = e.arrays["patch_to_prompt"]
        names = tuple(f"prompt {i + 1}" for i in range(rows.shape[1]))
        out.append(Panel("heat", "patches looking at prompts", rows, x_names=names, y_title="layer", **_shared(rows)))
    return out


def _maps(e: Exhibit) -> list[Panel]:
    under = e.arrays.get("picture")
    out = [Panel("picture", "picture", under)] if under is not None else []
    compared = [k for k in ("before", "after") if k in e.arrays]
    scale = _shared(*(e.arrays[k] for k in compared)) if compared else {}
    said = {"before": "zero-shot", "after": "tuned", "control": "random prompt"}
    for k, z in e.arrays.items():
        if k not in ("picture", "label"):
            out.append(Panel("heat", said.get(k, k.replace("_", " ")), z, under, **(scale if k in compared else _shared(z))))
    return out


def _transport(e: Exhibit) -> list[Panel]:
    maps = e.arrays["maps"][:MOST]
    scale = {"low": 0.0, "high": float(maps.max())}
    names = e.labels["prompt"]
    return [
        Panel("picture", "picture", e.arrays["picture"]),
        *(Panel("heat", n, z, e.arrays["picture"], **scale) for n, z in zip(names, maps)),
    ]


def _shift(e: Exhibit) -> list[Panel]:
    a, names = e.arrays, tuple(e.labels["class"])
    owner = tuple(names[t] if t >= 0 else "" for t in a["target"])
    series = []
    for when, said in (("before", "zero-shot"), ("after", "tuned")):
        series.append(
            (
                f"pictures, {said}",
                a[f"image_{when}"][:, 0],
                a[f"image_{when}"][:, 1],
                {"text": owner, "small": True, "faint": when == "before"},
            )
        )
        series.append(
            (
                f"class texts, {said}",
                a[f"text_{when}"][:, 0],
                a[f"text_{when}"][:, 1],
                {"text": names, "small": False, "faint": when == "before"},
            )
        )
    arrows = tuple((*b, *c) for b, c in zip(a["text_before"].tolist(), a["text_after"].tolist()))
    out = [Panel("points", "one projection", series=tuple(series), x_title="first axis", y_title="second axis", marks=arrows)]
    if "margin_before" in a:
        change = a["margin_after"] - a["margin_before"]
        order = _largest(change)  # classes without a picture have no margin
        order = order[np.argsort(-change[order])]
        pair = tuple((w, np.array(names)[order], a[f"margin_{k}"][order], {}) for k, w in (("before", "zero-shot"), ("after", "tuned")))
        said = "own cosine minus best other"
        out.append(Panel("bars", _of("margin of a class", order, change), series=pair, x_title=said))
    return out


def _words(e: Exhibit) -> list[Panel]:
    said = [w if w.isprintable() and chr(0xFFFD) not in w else "(part of a letter)" for w in e.labels["word 1"]]
    names = tuple(f"{v}: {w}" for v, w in zip(e.labels["vector"], said))
    low, high = e.arrays["null_low"], e.arrays["null_high"]
    order = np.arange(len(names))[:MOST_BARS]
    bars = ("distance to the nearest word", np.array(names)[order], e.arrays["distance"][order, 0], {"dot": True})
    band = tuple((names[i], float(low[i]), float(high[i])) for i in order)
    return [
        Panel(
            "bars", "inside the grey band: as chance", series=(bars,), x_title="Euclidean distance", marks=band
        )
    ]


def _matrix(e: Exhibit) -> list[Panel]:
    out, names = [], tuple(next(iter(e.labels.values()), ()))
    for k, z in e.arrays.items():
        if z.ndim == 2 and z.shape[0] == z.shape[1]:
            diverging = bool(z.min() < 0)
            bound = float(np.abs(z).max()) or 1.0
            scale = {"low": -bound, "high": bound} if diverging else _shared(z)
            out.append(Panel("heat", k, z, x_names=names, y_names=names, diverging=diverging, **scale))
        elif z.ndim == 1 and len(z) == len(names):
            order = np.sort(_largest(z))
            at = np.array([f"{i + 1}. {names[i]}" for i in order])  # names may come twice
            out.append(Panel("bars", _of(k, order, z), series=((k, at, z[order], {}),)))
    return out


def _heat(e: Exhibit) -> list[Panel]:
    out = []
    for k, z in e.arrays.items():
        scale = _shared(*e.arrays.values()) if "before" in e.arrays else _shared(z)  # two states compare, two measures do not
        names = tuple(e.labels.get(k, next((v for v in e.labels.values() if len(v) == z.shape[1]), ())))
        out.append(Panel("heat", {"before": "zero-shot", "after": "tuned"}.get(k, k), z, x_names=names, y_title="layer", **scale))
    return out


def _curve(e: Exhibit) -> list[Panel]:
    a = e.arrays
    if "step" in a:
        losses = tuple((k, a["step"], v, {}) for k, v in a.items() if k.startswith("loss "))
        out = [
            Panel("lines", "loss", series=losses, x_title="step"),
            Panel("lines", "learning rate", series=(("lr", a["step"], a["lr"], {}),), x_title="step"),
        ]
        if "epoch_step" in a:
            out.append(
                Panel(
                    "lines",
                    "validation",
                    series=tuple((k, a["epoch_step"], v, {}) for k, v in a.items() if k.startswith("val ")),
                    x_title="step",
                )
            )
        return out
    if "confidence" in a:
        ideal = ("perfect calibration", np.array([0.0, 1.0]), np.array([0.0, 1.0]), {"faint": True})
        keep = ~np.isnan(a["accuracy"])
        return [
            Panel(
                "lines",
                "reliability",
                series=(ideal, ("answers", a["confidence"][keep], a["accuracy"][keep], {})),
                x_title="confidence",
                y_title="accuracy",
            )
        ]
    x, y = (k for k in list(a)[:2])
    return [Panel("lines", e.title, series=((y, a[x], a[y], {}),), x_title=e.settings.get("knob", x), y_title=y)]


def _bars(e: Exhibit) -> list[Panel]:
    a, names = e.arrays, np.array(e.labels["class"])
    if "entropy" in a:
        order = np.argsort(a["entropy"])
        kept = np.isin(order, a["kept"])
        rank = np.arange(len(order))
        views = tuple((n, rank[m], a["entropy"][order][m], {"upright": True}) for n, m in (("kept", kept), ("left out", ~kept)))
        best = np.argsort(-a["after"])[:8]
        pair = tuple((n, names[best], a[k][best], {}) for k, n in (("before", "before the step"), ("after", "after the step")))
        return [
            Panel("picture", "picture", a["picture"]),
            Panel("bars", "views by entropy", series=views, x_title="view", y_title="entropy"),
            Panel("bars", "answer", series=pair, x_title="probability"),
        ]
    if "total" in a:
        best = np.argsort(-a["total"])[:8]
        parts = (
            ("zero-shot", names[best], a["plain"][best], {"stack": True}),
            ("votes of the shots", names[best], a["votes"][best], {"stack": True}),
        )
        near = np.argsort(-a["vote"])[:12]
        shots = np.array([f"{i + 1}. {names[a['label'][j]]}, shot {j}" for i, j in enumerate(near)])
        return [
            Panel("bars", "logits", series=parts, x_title="logit"),
            Panel("bars", "strongest votes", series=(("vote", shots, a["vote"][near], {}),)),
        ]
    order = _largest(a["gain"])
    order = order[np.argsort(-a["gain"][order])]
    shown = ("gain", names[order], a["gain"][order], {})
    return [Panel("bars", _of("gain over zero-shot", order, a["gain"]), series=(shown,), x_title="accuracy")]


def _images(e: Exhibit) -> list[Panel]:
    return [Panel("picture", k, z) for k, z in e.arrays.items() if z.ndim == 3]


_MAKERS: dict[str, Callable[[Exhibit], list[Panel]]] = {
    "attention": _attention,
    "bars": _bars,
    "curve": _curve,
    "heat": _heat,
    "images": _images,
    "maps": _maps,
    "matrix": _matrix,
    "shift": _shift,
    "transport": _transport,
    "words": _words,
}
