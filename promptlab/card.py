"""Card and knobs: what a method declares about itself, once; CLI flags, controls, docs and tests are derived from it."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from promptlab.errors import BadHyper

FAMILIES = ("text prompt", "visual prompt", "text-visual prompt", "adapter", "other")
SUPERVISION = ("supervised", "unsupervised", "test-time", "training-free")


@dataclass(frozen=True)
class Expose:
    """Something of the method that an exhibit can show: a learnable or an ``Out.aux`` entry, and as what kind."""

    name: str
    as_: str


@dataclass(frozen=True)
class Claim:
    """A number of the paper, to be compared with ours by hand (never a test on toy data)."""

    data: str
    shots: int | None
    backbone: str
    metric: str
    value: float | None
    where: str


@dataclass(frozen=True)
class Job:
    """What the method is for, on the world: the setting in which ``promptlab bench methods`` holds it against its own baseline.

    ``against``: id of the baseline, fitted on the same draw; ``test``: the test set that decides ("base", "new", "H", "test", or
    "targets": the mean of ``targets``, data that is only tested on); ``metric``: the kind's main one when empty; ``hyper`` and
    ``against_hyper`` go on top of the demo presets. ``note``: why the method does not win there, or what a win owes to something else.
    Chosen on validation pictures, never on the test split.
    """

    data: str = "world:animals@pixel-art"
    against: str = "zero_shot"
    protocol: str = "base_to_new"
    shots: int | None = 16
    test: str = "base"
    metric: str = ""
    hyper: Mapping[str, Any] = field(default_factory=dict)
    against_hyper: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Card:
    """The declaration of a method. ``difference`` is one line, from zero-shot; ``departs`` lists what differs from the public code."""

    id: str
    name: str
    year: int
    venue: str
    paper: str
    code: str
    family: str
    supervision: str
    difference: str
    trains: str
    checked: str = "code"
    kinds: tuple[str, ...] = ("single",)
    protocols: tuple[str, ...] = ("few_shot", "base_to_new")
    needs: tuple[str, ...] = ()
    open_vocabulary: bool = True
    identity_at_init: bool = False
    stream: bool = False
    params_b16_k100: int | None = 0
    exposes: tuple[Expose, ...] = ()
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    departs: tuple[str, ...] = ()
    job: Job = Job()

    def __post_init__(self) -> None:
        if self.family not in FAMILIES or self.supervision not in SUPERVISION:
            raise BadHyper(f"card {self.id}: family must be one of {FAMILIES} and supervision one of {SUPERVISION}.")


def knob(default: Any, low: float | None = None, high: float | None = None, *, choices: tuple = (), live: bool = False,
         help: str = "") -> Any:
    """A dataclass field that knows its range. ``live``: may change after fit without a refit (sliders)."""
    return field(default=default, metadata={"low": low, "high": high, "choices": choices, "live": live, "help": help})


@dataclass(frozen=True)
class Knob:
    """One hyper-parameter, as read by CLI flags, UI controls, docs and tests."""

    name: str
    type: type
    default: Any
    low: float | None
    high: float | None
    choices: tuple
    live: bool
    help: str
    optional: bool

    def read(self, text: str) -> Any:
        """The value that a person typed: ``none`` where that is allowed, true or false, a number, commas between items."""
        if self.optional and text.lower() in ("", "none"):
            return None
        if self.type is bool:
            return _switch(self.name, text)
        if self.type is tuple:
            return tuple(_item(part.strip()) for part in text.split(",") if part.strip())
        try:
            return self.type(text)
        except ValueError:
            raise BadHyper(f"{self.name} must be {'an int' if self.type is int else 'a number'}; got {text!r}.") from None

    def problem(self, owner: str, value: Any) -> str | None:
        """One sentence if ``value`` is not allowed, else None."""
        if value is None and self.optional:
            return None
        good = isinstance(value, self.type) and not (self.type in (int, float) and isinstance(value, bool))
        if self.choices:
            return None if value in self.choices else f"{self.name} of {owner} must be one of {list(self.choices)}; got {value!r}."
        low = "-inf" if self.low is None else f"{self.low:g}"
        high = "inf" if self.high is None else f"{self.high:g}"
        span = f" in [{low}, {high}]" if self.type in (int, float) and (self.low, self.high) != (None, None) else ""
        if good and self.type in (int, float):
            good = (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        article = "an" if self.type is int else "a"
        return None if good else f"{self.name} of {owner} must be {article} {self.type.__name__}{span}; got {value!r}."


@dataclass(frozen=True)
class Train:
    """Base of every method's ``Hyper``: optimiser, schedule and data knobs. Defaults are the CoOp recipe.

    ``schedule``: "epoch-cosine" = the CoOp family's (constant warm-up epochs at ``warmup_lr``, then a cosine per epoch
    that restarts its own counter: lr_e = lr/2 (1 + cos(pi (e-W)/E))); "step-cosine" = cosine per step to ``final_lr`` over
    all steps after ``warmup_steps`` linear steps; "constant".
    ``augment``: "none" (test transform), "crop" (RandomResizedCrop(crop_scale, 1) + flip). ``views``: number of cached
    augmented views per image that epochs cycle through; 0 = a fresh crop every epoch (the papers' way).
    ``steps``: when set, train that many steps instead of ``epochs``.
    """

    optimiser: str = knob("sgd", choices=("sgd", "adam", "adamw"), help="optimiser")
    lr: float = knob(2e-3, 0.0, 1000.0, help="base learning rate")
    momentum: float = knob(0.9, 0.0, 1.0, help="momentum of SGD")
    weight_decay: float = knob(5e-4, 0.0, 1.0, help="weight decay (L2 in the gradient for sgd and adam)")
    adam_eps: float = knob(1e-8, 0.0, 1.0, help="eps of Adam and AdamW")
    epochs: int = knob(50, 0, 10000, help="passes over the support set")
    steps: int | None = knob(None, 0, 10_000_000, help="training steps instead of epochs")
    batch: int = knob(32, 1, 4096, help="images per step")
    schedule: str = knob("epoch-cosine", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")
    warmup: int = knob(1, 0, 10000, help="warm-up epochs at warmup_lr (epoch-cosine)")
    warmup_lr: float = knob(1e-5, 0.0, 1000.0, help="learning rate of the warm-up epochs")
    warmup_steps: int = knob(0, 0, 1_000_000, help="linear warm-up steps (step-cosine)")
    final_lr: float = knob(0.0, 0.0, 1000.0, help="learning rate at the end (step-cosine)")
    clip_norm: float | None = knob(None, 0.0, 1e6, help="gradient-norm limit")
    augment: str = knob("crop", choices=("none", "crop"), help="train-time transform")
    crop_scale: float = knob(0.08, 0.01, 1.0, help="smallest area of the random crop")
    views: int = knob(0, 0, 1024, help="cached augmented views per image; 0 = fresh crops each epoch")
    seed: int = knob(1, 0, 2**31 - 1, help="seed of sampling, initialisation and order")


def knobs(hyper: type) -> dict[str, Knob]:
    """All knobs of a ``Hyper`` class, in order of declaration (its own first, then the training knobs)."""
    base = {f.name for f in dataclasses.fields(Train)}
    fields = sorted(dataclasses.fields(hyper), key=lambda f: f.name in base)
    return {f.name: _knob(f) for f in fields}


def _knob(f: dataclasses.Field) -> Knob:
    kinds = [t for t in get_args(f.type) if t is not type(None)] if get_args(f.type) else [f.type]
    kind = kinds[0] if get_origin(kinds[0]) is None else get_origin(kinds[0])
    return Knob(f.name, kind, f.default, optional=type(None) in get_args(f.type),
                **{k: f.metadata.get(k, d) for k, d in (("low", None), ("high", None), ("choices", ()), ("live", False), ("help", ""))})


def _switch(name: str, text: str) -> bool:
    if (lowered := text.lower()) not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        raise BadHyper(f"{name} is a switch: give true or false; got {text!r}.")
    return lowered in ("true", "1", "yes", "on")


def _item(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def auto_preset(presets: Iterable[str], backbone: str) -> str | None:
    """The preset that fits a backbone: "demo" on pocket (no paper used it) where the method has one, else the paper's values (None)."""
    return "demo" if backbone == "pocket" and "demo" in presets else None


def build_hyper(owner: str, hyper: type, values: Mapping[str, Any], presets: Mapping[str, Mapping[str, Any]] | None = None,
                preset: str | None = None) -> Any:
    """A checked ``Hyper``: the preset's values under the given ones; :class:`BadHyper` in one sentence otherwise."""
    presets = presets or {}
    if preset and preset not in presets:
        raise BadHyper(f"{owner} has no preset '{preset}'; choose one of {sorted(presets)} or leave it out for the paper's values.")
    values = {**(presets[preset] if preset else {}), **values}
    known = knobs(hyper)
    for name, value in values.items():
        if name not in known:
            raise BadHyper(f"{owner} has no hyper-parameter '{name}'; it has {', '.join(known)}.")
        if known[name].type is float and isinstance(value, int) and not isinstance(value, bool):
            values[name] = value = float(value)
        if known[name].type is tuple and isinstance(value, list):
            values[name] = value = tuple(value)
        if problem := known[name].problem(owner, value):
            raise BadHyper(problem)
    return hyper(**values)
