"""Visual Prompting: one picture, learned in pixels, is added to every input; the towers and the class sentences stay as they are.

pred [B, C] = scale · cosine(V(x + P), T("This is a photo of a <name>")), x [B, 3, H, W] already normalised, P a frame of p px or a
patch, N(0, 1) at first; nothing is clamped.
Source: *Exploring Visual Prompts for Adapting Large-Scale Models*, arXiv:2203.17274 (eq. 1-2); ``hjbahng/visual_prompting:
models/prompters.py, main_clip.py``.
"""

from dataclasses import dataclass
from typing import Any

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.errors import BadHyper
from promptlab.method import Bank, Method, Out
from promptlab.parts.pixels import INIT, Frame, Patch

TEMPLATE = "This is a photo of a {}"


@dataclass(frozen=True)
class Hyper(Train):
    variant: str = knob("padding", choices=("padding", "fixed_patch", "random_patch"), help="a frame, a corner patch, a moving patch")
    prompt_size: int | None = knob(None, 1, 4096, help="width in px; empty: 30 of 224, in proportion to the input")
    init: str = knob("normal", choices=INIT, help="start from noise (the paper) or from the plain picture")
    clean_names: bool = knob(True, help="lower-case the names and read _ and - as spaces")
    template: str = knob(TEMPLATE, help="sentence with {} for the name")
    lr: float = knob(40.0, 0.0, 1000.0, help="base learning rate; large, since the gradient of a shared pixel is tiny")
    weight_decay: float = knob(0.0, 0.0, 1.0, help="weight decay")
    batch: int = knob(256, 1, 4096, help="images per step")
    epochs: int = knob(1000, 0, 10000, help="passes over the support set")
    schedule: str = knob("step-cosine", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")
    warmup_steps: int = knob(1000, 0, 1_000_000, help="linear warm-up steps")
    augment: str = knob("none", choices=("none", "crop"), help="train-time transform")


class VisualPrompting(Method):
    card = Card(
        id="vp", name="Visual Prompting", year=2022, venue="arXiv", paper="arXiv:2203.17274", code="hjbahng/visual_prompting",
        family="visual prompt", supervision="supervised", difference="a learned frame of pixels around every picture",
        trains="pixels", needs=("pixels",), params_b16_k100=69_840, exposes=(Expose("prompt", as_="pixels"),),
        presets={"demo": {"init": "zeros", "lr": 1.0, "prompt_size": 8, "batch": 64, "steps": 150, "warmup_steps": 10}},
        claims=(Claim("cifar100", None, "ViT-B-32", "accuracy", 0.753, "Table 1, full training set (recalled, not checked)"),),
        departs=("the last state is kept; the code keeps the epoch that is best on the test set",
                 "float32 instead of autocast with a gradient scaler; the frozen logit scale needs no clamp"),
        # the paper learns from whole training sets: with few shots the frame over-fits
        job=Job(data="world:textures@pixel-art", protocol="few_shot", shots=None, test="test"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        if hyper.template.count("{}") != 1:
            raise BadHyper(f"template of vp must hold the name's place {{}} exactly once; got {hyper.template!r}.")
        size = backbone.spec.size
        width = hyper.prompt_size or max(1, round(size * 30 / 224))
        frame = hyper.variant == "padding"
        self.prompt = Frame(size, width, hyper.init) if frame else Patch(size, width, hyper.init, hyper.variant == "random_patch")
        self.to(backbone.device)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        return self.prompt.edits()

    def forward(self, batch: Batch, bank: Bank) -> Out:
        return Out(super().forward(batch, bank).pred, {"prompt": self.prompt().detach()})

    def classes(self, names: ClassSet) -> Bank:
        words = tuple(n.lower().replace("_", " ").replace("-", " ") if self.hyper.clean_names else n for n in names.names)
        return Bank(names, self.backbone.zero_shot(words, (self.hyper.template,)))
