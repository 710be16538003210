"""TCP: every class gets prompt tokens made from its own hand-written text feature, put into the middle of the text tower.

r_c [E] frozen and unit-length, P_c = reshape(W2 quick_gelu(W1 r_c + b1) + b2) [n, D]; the sentence ctx [n, D] · name · rest runs up to
block ℓ, where positions 1 ... n become P_c. L = cross-entropy + λ · (1 - mean_c cos(t_c, r_c)). New names get their tokens for free.
Source: *TCP: Textual-based Class-aware Prompt tuning*, CVPR 2024, arXiv:2311.18231 (eq. 4-9);
``htyao89/Textual-based_Class-aware_prompt_tuning: trainers/tcp.py, trainers/clip_text/model.py``.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.losses import cosine_distance
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context


@dataclass(frozen=True)
class Hyper(Train):
    weight: float = knob(8.0, 0.0, 1000.0, help="λ, the pull towards the hand-written sentence")
    layer: int = knob(8, 0, 63, help="ℓ, the block (counted from 0) before which the class's tokens enter; at most the last one")
    mix: float = knob(1.0, 0.0, 1.0, help="share of the class's tokens there, the rest being what arrived")
    reduction: int = knob(4, 1, 1024, help="the hidden layer has joint width // reduction units")
    reference: str | None = knob(None, help="sentence with {} that r_c reads; the dataset's first template when empty")
    prompt: str | None = knob(None, help="learned sentence, 'X X X X {}.': n words for ctx, others stay; the template's tail when empty")
    ctx_init: str | None = knob(None, help="initial words; random vectors when empty")
    n_ctx: int = knob(4, 1, 64, help="n, learned vectors, and tokens of a class")
    optimiser: str = knob("adam", choices=("sgd", "adam", "adamw"), help="optimiser")
    adam_eps: float = knob(1e-3, 0.0, 1.0, help="eps of Adam and AdamW")


class QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class TCP(Method):
    card = Card(
        id="tcp", name="TCP", year=2024, venue="CVPR", paper="arXiv:2311.18231", code="htyao89/Textual-based_Class-aware_prompt_tuning",
        family="text prompt", supervision="supervised", difference="tokens made from each class's text feature, inside the text tower",
        trains="context vectors and a two-layer network", needs=("text", "text-deep"), params_b16_k100=331_904,
        exposes=(Expose("context.ctx", as_="words"), Expose("alike", as_="matrix")),
        presets={"demo": {"layer": 1, "lr": 5e-3, "weight_decay": 0.0, "steps": 150, "schedule": "step-cosine", "augment": "none"}},
        claims=(Claim("average of 11, base", 16, "ViT-B-16", "accuracy", 0.8413, "repository README"),
                Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7536, "repository README")),
        departs=("the learned sentence is made from the template's tail instead of a table (UCF101's keeps two words more, see prompt)",
                 "float32, where Adam's eps of 1e-3 is not needed but kept", "any number of tokens; the code always makes four",
                 "a tower with fewer blocks than layer + 1 gets the tokens before its last one"),
        job=Job(against="coop", test="new"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        n, joint, width = hyper.n_ctx, backbone.joint_dim, backbone.text_width
        blank = " ".join(["X"] * n)
        head, tail = (hyper.prompt or f"{blank} {{}}{task.classes.templates[0].partition('{}')[2]}").split("{}")
        self.context = Context(backbone, task.classes, n, words=head.strip() or blank, learn=n, suffix=tail)
        with torch.no_grad():
            start = self.words(hyper.ctx_init) if hyper.ctx_init else 0.02 * torch.randn(n, width)
            self.context.ctx.copy_(start)
        hidden = max(1, joint // hyper.reduction)
        self.meta_net = nn.Sequential(OrderedDict(linear1=nn.Linear(joint, hidden), gelu=QuickGELU(), linear2=nn.Linear(hidden, n * width)))

    def words(self, text: str) -> Tensor:
        """Token embeddings [n, D] of the first n tokens."""
        return self.backbone.prompts([text.replace("_", " ")]).suffix[0, : self.hyper.n_ctx]

    def classes(self, names: ClassSet) -> Bank:
        h, n = self.hyper, self.context.n_ctx
        frozen = self.plain(names, (h.reference,) if h.reference else None)
        tokens = self.meta_net(frozen).unflatten(1, (n, -1))  # [C, n, D]
        start = self.context.frame(names).start.shape[1]
        block = min(h.layer, self.backbone.text_layers - 1)
        enter = Edit(f"text.block.{block}.in", lambda x: h.mix * tokens + (1 - h.mix) * x, (start, start + n))
        # one sentence a class from here on: the states before the name are no longer shared
        raw = self.backbone.encode_text(self.context.inputs(names).plain(), [*self._text_edits(), enter]).pooled.float()
        alike = normalize(tokens.detach().flatten(1), dim=-1)
        return Bank(names, normalize(raw, dim=-1), {"reference": frozen, "tokens": tokens, "alike": alike @ alike.T})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        return Out(self.cosine(self.image(batch).pooled, bank.text), {"text": bank.text, **bank.extra})

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        pull = self.hyper.weight * cosine_distance(out.aux["text"], out.aux["reference"])
        return {"task": self.kind.loss(out.pred, batch.target), "pull": pull}
