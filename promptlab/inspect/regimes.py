"""What methods of other supervision learn from: nodes of a class tree, transport plans, sentences, pseudo-labels by round."""

import dataclasses
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from promptlab.create import build
from promptlab.data.batch import Batch, Split
from promptlab.data.captions import Captions, mine
from promptlab.errors import BadData, WrongKind
from promptlab.inspect.evidence import picture
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.shift import project
from promptlab.inspect.subject import as_batch, class_index, method_of, one_picture
from promptlab.method import Method, sandbox

MOST = 40  # sentences a class of the projection


def _exposes(method: Method, what: str) -> str:
    found = next((e.name for e in method.card.exposes if e.as_ == what), None)
    if found is None:
        raise WrongKind(f"{method.card.name} has no {what} to show.")
    return found


@torch.no_grad()
def tree(subject: Any, image: Any) -> Exhibit:
    """Probability of every node among its siblings, for one picture, before and after tuning (ProTeCt).

    arrays: ``before``, ``after`` [V] in depth-first order, names indented by depth; ``picture``. sanity: share of the answer's path (leaf
    to root) that wins among its siblings, beside the same before tuning.
    """
    method = method_of(subject)
    name = _exposes(method, "tree")
    batch, nodes = one_picture(method, image), method.tree
    fresh = build(type(method), method.backbone, method.task, dataclasses.asdict(method.hyper))
    found, agreed = {}, {}
    for when, one in (("before", fresh), ("after", method)):
        with sandbox(one):
            z = one.predict(batch, one.bank()).aux[name][0].float().cpu()
        p = torch.ones_like(z)
        for node in nodes.internal:
            p[nodes.children(node)] = z[nodes.children(node)].softmax(0)
        path = nodes.path(int(z[: nodes.leaves].argmax()))
        agreed[when] = float(np.mean([p[v] >= p[nodes.children(nodes.parent[v])].max() for v in path]))
        found[when] = p.numpy()
    order = _depth_first(nodes, -1)
    said = ["· " * (len(nodes.path(v)) - 1) + nodes.names[v] for v in order]
    return Exhibit("tree", f"Answers of {method.card.name} over the class tree", {k: v[order] for k, v in found.items()}
                   | {"picture": picture(method, batch)}, {"node": said},
                   "A bar is a node's probability among its siblings; a consistent answer wins at every level of its path.",
                   (Sanity("share of the answer's path that wins", agreed["after"], agreed["before"]),), {"cut": []})


def _depth_first(nodes: Any, at: int) -> list[int]:
    return [v for child in nodes.children(at) for v in (child, *_depth_first(nodes, child))]


@torch.no_grad()
def plan(subject: Any, images: Any) -> Exhibit:
    """The two transport plans between pictures and classes (POUF), before and after tuning.

    arrays: ``to_classes``, ``to_classes_before`` [B, C] (rows sum to one), ``to_pictures``, ``to_pictures_before`` [B, C] (columns do).
    sanity: mean entropy of a picture's plan as a share of the uniform one, beside the same before tuning.
    """
    method = method_of(subject)
    _exposes(method, "plan")
    batch = as_batch(method, images, 64)
    fresh = build(type(method), method.backbone, method.task, dataclasses.asdict(method.hyper))
    arrays: dict[str, np.ndarray] = {}
    spread = {}
    for when, one in (("", method), ("_before", fresh)):
        with sandbox(one):
            aux = one.predict(batch, one.bank()).aux
        arrays |= {f"{k}{when}": aux[k].float().cpu().numpy() for k in ("to_classes", "to_pictures")}
        p = aux["to_classes"].float()
        spread[when] = float(-(p * p.clamp_min(1e-12).log()).sum(1).mean() / max(np.log(p.shape[1]), 1e-12))
    return Exhibit("plan", f"Transport plans of {method.card.name}", arrays, {"class": method.task.classes.names},
                   "Rows are pictures, columns classes; a plan to classes says where a picture goes, one to pictures what a class takes.",
                   (Sanity("entropy of a picture's plan, share of uniform", spread[""], spread["_before"]),), {"pictures": len(batch)})


@torch.no_grad()
def gap(subject: Any, images: Any) -> Exhibit:
    """Sentences and pictures in one projection, with the answers of the head that was learned on sentences alone (LaFTer).

    arrays: ``texts`` [N, 2], ``text_class`` [N], ``pictures`` [B, 2], ``picture_class`` [B] as the text-trained head sees them. sanity:
    cosine of the mean sentence and the mean picture (the gap between modalities), beside the mean cosine among sentences.
    """
    method = method_of(subject)
    _exposes(method, "features")
    batch = as_batch(method, images, 256)
    texts, classes = method.sentences()
    keep = torch.cat([(classes == c).nonzero()[:MOST, 0] for c in range(len(method.task.classes))])
    texts, classes = texts[keep].cpu(), classes[keep].cpu()
    seen = F.normalize(method.backbone.cached_image(batch).pooled.float(), dim=-1).cpu()
    axes, kept = project(torch.cat([texts, seen]) - torch.cat([texts, seen]).mean(0))
    flat = (torch.cat([texts, seen]) - torch.cat([texts, seen]).mean(0)) @ axes
    mean = F.normalize(texts.mean(0), dim=0)
    arrays = {"texts": flat[: len(texts)], "text_class": classes, "pictures": flat[len(texts):], "picture_class": method.teach(batch).cpu()}
    return Exhibit("gap", f"Sentences and pictures of {method.card.name}", {k: v.numpy() for k, v in arrays.items()},
                   {"class": method.task.classes.names},
                   "The head never saw a picture in its first stage; it works because a class lies in the same direction in both clouds.",
                   (Sanity("cosine of mean sentence and mean picture", float(mean @ F.normalize(seen.mean(0), dim=0)),
                           float((texts @ mean).mean())), Sanity("share of variance in the picture", kept)), {"sentences": len(texts)})


@torch.no_grad()
def caption(subject: Any, text: str = "a photo of a cat and a dog", name: str | int | None = None) -> Exhibit:
    """How much each token of a sentence counts for a class (TaI-DPT): what stands for the regions of a picture in training.

    arrays: ``weight`` and ``cosine`` [L], a token each. sanity: largest weight beside the uniform one.
    """
    method = method_of(subject)
    if not hasattr(method, "heard"):
        raise WrongKind(f"{method.card.name} does not read captions; tai_dpt does.")
    batch = Batch(Captions([text]), (0,), mine([text], method.task.classes))
    with sandbox(method):
        out = method.predict(batch, method.bank())
    c = class_index(method, name, out.pred[0])
    clip = method.backbone
    ids = clip.tokenize([text])[0][: out.aux["similarity"].shape[1]].tolist()
    weight, cosine = (out.aux[k][0, :, c].float().cpu().numpy() for k in ("word_weights", "similarity"))
    said = [f"{i + 1} {clip.words.decode([t]).strip()}" for i, t in enumerate(ids)]
    title = f"Words that count for '{method.task.classes.names[c]}'"
    return Exhibit("caption", title, {"weight": weight, "cosine": cosine}, {"token": said},
                   "In training these words stand where the regions of a picture stand later.",
                   (Sanity("largest weight of a token", float(weight.max()), 1 / len(weight)),), {"text": text})


def pseudo(subject: Any, truth: Split | None = None) -> Exhibit:
    """Pseudo-labels by round (GRIP, UPL): how many each class has, how sure they are, and, against ``truth``, how many are right.

    arrays: ``count`` [R, C], ``confidence`` [R]; with ``truth`` (the labelled pictures behind the pool, for a method fitted in this
    process) ``right`` [R, C], nan where a class has none. sanity: share of classes without a label in the last round.
    """
    rounds = [e for e in getattr(subject, "events", ()) if e["event"] == "labelled"]
    method = method_of(subject)
    names, history = method.task.classes.names, getattr(method, "history", [])
    if not rounds and not history:
        raise BadData(f"{method.card.name} made no pseudo-labels that could be shown; grip and upl do, looked at as a run.")
    count = [[e["per_class"].get(n, 0) for n in names] for e in rounds] or [torch.bincount(c.label, minlength=len(names)).tolist()
                                                                            for _, c in history]
    sure = [e["confidence"] for e in rounds] or [float(c.confidence.mean()) for _, c in history]
    arrays = {"count": np.array(count, float), "confidence": np.array(sure)}
    if truth is not None and history:
        label = dict(zip(truth.rows, truth.targets.tolist(), strict=True))
        arrays["right"] = np.array([_right(rows, chosen, label, len(names)) for rows, chosen in history])
    return Exhibit("pseudo", f"Pseudo-labels of {method.card.name} by round", arrays,
                   {"round": [f"round {i + 1}" for i in range(len(count))], "class": names},
                   "A class that starts with few labels should gain some; where it loses them, the rich get richer.",
                   (Sanity("share of classes without a label in the last round", float((arrays["count"][-1] == 0).mean()), 0.0),))


def _right(rows: Any, chosen: Any, label: dict[int, int], classes: int) -> list[float]:
    hits: list[list[float]] = [[] for _ in range(classes)]
    for i, c in zip(chosen.index.tolist(), chosen.label.tolist(), strict=True):
        hits[c].append(float(label.get(rows[i], -1) == c))
    return [float(np.mean(h)) if h else float("nan") for h in hits]


EXHIBITS = {"tree": tree, "plan": plan, "gap": gap, "caption": caption, "pseudo": pseudo}
SHOWS = {"tree": "tree", "plan": "plan", "features": "gap", "labels": "pseudo"}
