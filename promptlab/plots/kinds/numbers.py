"""Points, lines, bars and matrices: shifts, words, curves, gains, votes, views."""

import numpy as np

from promptlab.inspect.exhibit import Exhibit
from promptlab.plots.panels import MOST, MOST_BARS, Panel, counted, largest, one_bar_each, one_matrix, pair_of_bars, plain

FEW = 7  # lines that colours tell apart


def shift(e: Exhibit) -> list[Panel]:
    """Both modalities in one projection, then margin and alignment per class, where the pictures have labels."""
    a, names = e.arrays, tuple(e.labels["class"])
    start = e.settings.get("before", "zero-shot")
    owner = tuple(names[t] if t >= 0 else "" for t in a["target"])
    series = []
    for when, said in (("before", start), ("after", "tuned")):
        for side, text, small in (("image", owner, True), ("text", names, False)):
            if small and when == "before" and np.allclose(a["image_before"], a["image_after"]):
                continue  # one cloud under the other says nothing
            what = "pictures" if small else "class texts"
            series.append((f"{what}, {said}", a[f"{side}_{when}"][:, 0], a[f"{side}_{when}"][:, 1],
                           {"text": text, "small": small, "faint": when == "before"}))
    arrows = tuple((*b, *c) for b, c in zip(a["text_before"].tolist(), a["text_after"].tolist()))
    out = [Panel("points", "one projection", series=tuple(series), x_title="first axis", y_title="second axis", marks=arrows)]
    measured = (("margin", "margin of a class", "own cosine minus best other"), ("alignment", "alignment of a class", "own cosine"))
    for key, title, said in measured:
        if f"{key}_before" in a:
            change = a[f"{key}_after"] - a[f"{key}_before"]
            order = largest(change)  # classes without a picture have none
            order = order[np.argsort(-change[order])]
            pair = tuple((w, np.array(names)[order], a[f"{key}_{k}"][order], {}) for k, w in (("before", start), ("after", "tuned")))
            out.append(Panel("bars", counted(title, order, change), series=pair, x_title=said))
    return out


def words(e: Exhibit) -> list[Panel]:
    """A dot a vector with its nearest word, over the band of chance."""
    said = [w if w.isprintable() and chr(0xFFFD) not in w else "(part of a letter)" for w in e.labels["word 1"]]
    names = np.array(e.labels["vector"])
    low, high = e.arrays["null_low"], e.arrays["null_high"]
    order = np.arange(len(names))[:MOST_BARS]
    title = "nearest words; inside the grey band: as chance" + (f" (first {MOST_BARS} of {len(names)})" if len(names) > MOST_BARS else "")
    dots = ("nearest word", names[order], e.arrays["distance"][order, 0], {"dot": True, "text": [said[i] for i in order]})
    band = tuple((names[i], float(low[i]), float(high[i])) for i in order)
    return [Panel("bars", title, series=(dots,), x_title="Euclidean distance", marks=band)]


def matrix(e: Exhibit) -> list[Panel]:
    """Matrices with names on both sides, and bars of what has one value a row."""
    names = tuple(next(iter(e.labels.values()), ()))
    out = pair_of_bars(e, names)
    for k, z in e.arrays.items():
        if out and z.ndim == 1 and k in ("before", "after"):
            continue
        if z.ndim == 2 and z.shape[0] == z.shape[1]:
            out.append(one_matrix(k, z, e.labels.get(k, names), e.labels.get(k, names)))
        elif z.ndim == 2 and k in e.labels:
            out.append(one_matrix(k, z, (), e.labels[k]))
        elif z.ndim == 1 and len(z) == len(names):
            out.append(one_bar_each(k, z, names))
    return out or plain(e)


def curve(e: Exhibit) -> list[Panel]:
    """Losses over steps, reliability, drift, or any arrays over the first one."""
    a = e.arrays
    if "step" in a:
        return _training(a)
    if "confidence" in a:
        return _reliability(e)
    if "lines" in e.settings:
        return _drift(e)
    x = e.settings.get("x", next(iter(a)))
    series = tuple((k, a[x], v, {}) for k, v in a.items() if k != x and v.shape == a[x].shape)[:FEW]
    now = e.settings.get("now")
    said = e.settings.get("knob", x)
    wide = float(a[x].min()) > 0 and float(a[x].max() / a[x].min()) > 20
    return [Panel("lines", f"accuracy over {said}" if "knob" in e.settings else e.title, series=series, x_title=said,
                  y_title=series[0][0] if len(series) == 1 else "", marks=((now, "now"),) if now is not None else (), log=wide)]


def _training(a: dict[str, np.ndarray]) -> list[Panel]:
    losses = tuple((k, a["step"], v, {}) for k, v in a.items() if k.startswith("loss "))[:FEW]
    out = [Panel("lines", "loss", series=losses, x_title="step"),
           Panel("lines", "learning rate", series=(("lr", a["step"], a["lr"], {}),), x_title="step")]
    if "epoch_step" in a:
        seen = tuple((k, a["epoch_step"], v, {}) for k, v in a.items() if k.startswith("val "))[:FEW]
        out.append(Panel("lines", "validation", series=seen, x_title="step"))
    return out


def _reliability(e: Exhibit) -> list[Panel]:
    ideal = ("perfect calibration", np.array([0.0, 1.0]), np.array([0.0, 1.0]), {"faint": True})
    confidence, accuracy, count = (np.atleast_2d(e.arrays[k]) for k in ("confidence", "accuracy", "count"))
    names = e.labels.get("run", ("answers",))
    lines, counts = [ideal], []
    edges = (np.arange(count.shape[1]) + 0.5) / count.shape[1]
    for n, x, y, c in list(zip(names, confidence, accuracy, count))[:FEW]:
        keep = ~np.isnan(y)
        lines.append((n, x[keep], y[keep], {}))
        counts.append((n, edges, c / max(c.sum(), 1), {}))
    out = [Panel("lines", "reliability", series=tuple(lines), x_title="confidence", y_title="accuracy", x_range=(0, 1), y_range=(0, 1))]
    out.append(Panel("lines", "share of pictures by confidence", series=tuple(counts), x_title="confidence", x_range=(0, 1)))
    return out


def _drift(e: Exhibit) -> list[Panel]:
    a, x = e.arrays, e.arrays[e.settings["x"]]
    names = e.labels[e.settings["lines"]]
    said = [f"{n} ({w.strip()})" for n, w in zip(names, e.labels["word 1"])] if "word 1" in e.labels else list(names)
    far = np.argsort(-a["distance"][-1], kind="stable")
    order = np.arange(len(names)) if len(names) <= FEW else np.sort(far[: FEW - 1])
    out = []
    for key, title in (("distance", "distance from the start"), ("cosine", "cosine to the start")):
        lines = [(said[i], x, a[key][:, i], {}) for i in order]
        if len(order) < len(names):
            lines.append((f"median of {len(names)}", x, np.median(a[key], 1), {"faint": True}))
        title = title if len(order) == len(names) else f"{title} ({len(order)} farthest)"
        out.append(Panel("lines", title, series=tuple(lines), x_title=e.settings["x"]))
    return out


def bars(e: Exhibit) -> list[Panel]:
    """Views at test time, votes of a memory, gains per class, or any bars."""
    a = e.arrays
    if "entropy" in a and "kept" in a:
        return _views(e)
    if "total" in a and "vote" in a:
        return _votes(e)
    pair = e.settings.get("pair")
    gains = {k.removeprefix(pair): v for k, v in a.items() if k.startswith(pair)} if pair else {"gain": a["gain"]} if "gain" in a else {}
    if not gains:
        return plain(e)
    names, first = np.array(e.labels["class"]), next(iter(gains.values()))
    order = largest(np.nanmean(np.abs(np.stack(list(gains.values()))), 0))
    order = order[np.argsort(-first[order])]
    shown = tuple((n, names[order], v[order], {}) for n, v in list(gains.items())[:MOST])
    return [Panel("bars", counted(f"gain over {e.settings.get('baseline', 'zero-shot')}", order, first), series=shown, x_title="accuracy")]


def _views(e: Exhibit) -> list[Panel]:
    a, names = e.arrays, np.array(e.labels["class"])
    order = np.argsort(a["entropy"], kind="stable")
    kept, rank = np.isin(order, a["kept"]), np.arange(1, len(order) + 1)
    left = (f"left out ({int((~kept).sum())})", rank[~kept], a["entropy"][order][~kept], {"markers": 6, "faint": True})
    chosen = (f"kept ({int(kept.sum())})", rank[kept], a["entropy"][order][kept], {"markers": 11})
    best = np.argsort(-a["after"], kind="stable")[:8]
    pair = tuple((n, names[best], a[k][best], {}) for k, n in (("before", "before the step"), ("after", "after the step")))
    views = Panel("lines", "views by entropy", series=(chosen, left), x_title="view, most certain first", y_title="entropy")
    return [Panel("picture", "picture", a["picture"]), views, Panel("bars", "answer", series=pair, x_title="probability")]


def _votes(e: Exhibit) -> list[Panel]:
    a, names = e.arrays, np.array(e.labels["class"])
    best = np.argsort(-a["total"], kind="stable")[:8]
    parts = (("zero-shot", names[best], a["plain"][best], {"stack": True}),
             ("votes of the shots", names[best], a["votes"][best], {"stack": True}))
    near = np.argsort(-a["vote"], kind="stable")[:12]
    shots = np.array([f"{i + 1}. {names[a['label'][j]]}, shot {j}" for i, j in enumerate(near)])
    return [Panel("bars", "logits", series=parts, x_title="logit"),
            Panel("bars", "strongest votes", series=(("vote", shots, a["vote"][near], {}),))]


PANELS = {"bars": bars, "curve": curve, "matrix": matrix, "shift": shift, "words": words}
