"""What a search over settings saw on held-out pictures: the path over one setting, or the surface over two."""

from typing import Any

import torch

from promptlab.errors import WrongKind
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import method_of


@torch.no_grad()
def search(subject: Any) -> Exhibit:
    """Accuracy over what was tried, for methods whose card exposes it as "search".

    A path [T, 2] of (setting, accuracy) gives ``log10 setting`` and ``accuracy`` [T], sorted by the setting, and ``order`` [T], when it
    was tried. A surface [I, J] of accuracies gives ``accuracy`` [I, J]. sanity: the best accuracy beside the mean of all that was tried.
    """
    method = method_of(subject)
    name = next((e.name for e in method.card.exposes if e.as_ == "search"), None)
    if name is None:
        raise WrongKind(f"{method.card.name} searches no setting on held-out pictures; linear_probe does.")
    found = method.get_buffer(name).detach().float().cpu()
    path = found.shape[1] == 2
    found = found[found[:, 0] > 0] if path else found
    if not found.numel() or not found.any():
        raise WrongKind(f"this fit of {method.card.name} searched nothing: settings were given, or no labelled pictures were there.")
    if path:
        order = found[:, 0].argsort(stable=True)
        arrays = {"log10 setting": found[order, 0].log10(), "accuracy": found[order, 1], "order": order.float()}
        kind, accuracy = "curve", found[:, 1]
    else:
        arrays, kind, accuracy = {"accuracy": found}, "heat", found
    return Exhibit(
        kind, f"What the search of {method.card.name} saw", {k: v.numpy() for k, v in arrays.items()}, {},
        "Accuracy on held-out pictures, never on test pictures; a flat top means that the choice hardly matters.",
        (Sanity("best accuracy", float(accuracy.max()), float(accuracy.mean())),), {"knob": "log10 of the setting"} if path else {
            "y": "first setting", "x": "second setting"},
    )


EXHIBITS = {"search": search}
SHOWS = {"search": "search"}
