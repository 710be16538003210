"""SoftCPT: tasks tuned together; a shared linear generator makes each task's context from the text feature of the task's name.

f_τ = T(SOS, u [m, D], name of τ, ".", EOT) [E], not normalised; ctx_τ = reshape(f_τ · W, [n, D]) with W [E, n D], no bias; then as
CoOp with ctx_τ for the classes of τ. With a class branch f = [T(SOS, u', class, ".", EOT); f_τ] gives a context per class. Loss: for each
picture the cross-entropy within its own task, mean over the batch of pictures of all tasks.
Source: *Prompt Tuning with Soft Context Sharing for Vision-Language Models*, Neurocomputing 2024, arXiv:2208.13474 (eq. 3-6);
``kding1225/softcpt: trainers/mtcoop.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.joint import join, own_classes, task_words
from promptlab.data.task import Episode, Task
from promptlab.errors import BadHyper
from promptlab.fit.gradient import gradient
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import POSITIONS, Context


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(16, 1, 64, help="generated vectors")
    position: str = knob("end", choices=POSITIONS, help="where the class name stands")
    per: str = knob("task", choices=("task", "class"), help="one generated context a task, or one a class")
    generator: str = knob("lin", choices=("lin", "lincls"), help="what a context per class is made of: class and task, or class only")
    task_n_ctx: int = knob(4, 1, 64, help="learned vectors around a task's name")
    task_specific: bool = knob(False, help="own vectors for every task")
    task_position: str = knob("end", choices=POSITIONS, help="where the task's name stands")
    class_n_ctx: int = knob(4, 1, 64, help="learned vectors around a class name, with per='class'")
    class_specific: bool = knob(False, help="own vectors for every class, with per='class'; then other names cannot be asked for")
    class_position: str = knob("end", choices=POSITIONS, help="where the class name stands in the class branch")


class SoftCPT(Method):
    card = Card(
        id="softcpt", name="SoftCPT", year=2024, venue="Neurocomputing", paper="arXiv:2208.13474", code="kding1225/softcpt",
        family="text prompt", supervision="supervised", difference="contexts generated from task names by a map that all tasks share",
        trains="a task context and a linear generator", needs=("text",), params_b16_k100=4_196_352,
        exposes=(Expose("task_ctx", as_="words"), Expose("tasks", as_="matrix")),
        presets={"demo": {"n_ctx": 4, "optimiser": "adam", "lr": 2e-4, "weight_decay": 0.0, "steps": 150, "schedule": "step-cosine",
                          "augment": "none"},
                 "CATA": {"per": "class"}, "NATS": {"task_specific": True}},
        claims=(Claim("Plant-6", 16, "RN50", "accuracy", 0.7842, "repository figure"),),
        departs=("one step a batch; the code steps three or four times with one gradient, since it registers its optimiser under several "
                 "names", "all classes of all tasks in every step; the code can drop classes at random", "float32 throughout"),
        job=Job("world:animals@pixel-art+world:animals@sketch+world:animals@grayscale", "coop", "few_shot", 1, "test"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.tasks: tuple[tuple[str, ClassSet], ...] = ((task_words(task), task.classes),)  # own first, then those learned along
        width, joint, branch = backbone.text_width, backbone.joint_dim, hyper.per == "class"
        self.frame = self._frame(hyper.n_ctx, hyper.position)
        self.task_frame = self._frame(hyper.task_n_ctx, hyper.task_position)
        self.task_ctx = nn.Parameter(self._new(1, hyper.task_n_ctx) if hyper.task_specific else self._new(hyper.task_n_ctx))
        if branch:
            n = hyper.class_n_ctx
            self.class_frame = self._frame(n, hyper.class_position)
            self.class_ctx = nn.Parameter(self._new(len(task.classes), n) if hyper.class_specific else self._new(n))
        self.proj = nn.Parameter(0.02 * torch.randn((1 + (branch and hyper.generator == "lin")) * joint, hyper.n_ctx * width))
        if branch and hyper.generator == "lincls":
            self.task_frame = self.task_ctx = None  # a context made of the class alone knows no task
        self.to(backbone.device)

    def _frame(self, n: int, position: str) -> Context:
        """The fixed rows around vectors that come from elsewhere."""
        frame = Context(self.backbone, self.task.classes, n, position=position)
        frame.ctx = None
        return frame

    def _new(self, *size: int) -> Tensor:
        return 0.02 * torch.randn(*size, self.backbone.text_width, device=self.backbone.device)

    def task_features(self, first: int | None = None) -> Tensor | None:
        """Projected features of the (``first``) task names [T, E], not normalised; None for a generator that knows no tasks."""
        if self.task_ctx is None:
            return None
        words = ClassSet(tuple(w for w, _ in self.tasks[:first]))
        ctx = self.task_ctx if self.task_ctx.ndim == 2 else self.task_ctx[: len(words)]
        return self.text(self.task_frame.inputs(words, ctx=ctx))

    def class_features(self, i: int, names: ClassSet) -> Tensor:
        """Projected features of the classes of task ``i`` from the class branch [C, E], not normalised."""
        ctx = self.class_ctx
        if ctx.ndim == 3:
            first = sum(len(c) for _, c in self.tasks[:i])
            if names.names != self.tasks[i][1].names:
                self.closed(names)
            ctx = ctx[first : first + len(names)]
        return self.text(self.class_frame.inputs(names, ctx=ctx))

    def generated(self, i: int, names: ClassSet, features: Tensor | None) -> Tensor:
        """The context of task ``i``: [n, D], or one a class [C, n, D]."""
        if self.hyper.per == "task":
            return (features[i] @ self.proj).reshape(self.hyper.n_ctx, -1)
        found = self.class_features(i, names)
        if features is not None:
            found = torch.cat([found, features[i].expand(len(found), -1)], 1)
        return (found @ self.proj).reshape(len(found), self.hyper.n_ctx, -1)

    def classes(self, names: ClassSet) -> Bank:
        return self._bank([(0, names)])

    def bank(self, names: ClassSet | None = None) -> Bank:
        """While several tasks are learned, the classes of all of them one after another; else as always."""
        if names is not None or not self.training:
            return self.classes(names or self.task.classes)
        return self._bank([(i, classes) for i, (_, classes) in enumerate(self.tasks)])

    def _bank(self, parts: list[tuple[int, ClassSet]]) -> Bank:
        features = self.task_features(len(parts))  # no more than is asked for, so that a reopened method answers bit for bit
        raw = [self.text(self.frame.inputs(c, ctx=self.generated(i, c, features))) for i, c in parts]
        seen = features if len(parts) == len(self.tasks) else self.task_features()
        return Bank(parts[0][1], F.normalize(torch.cat(raw), dim=-1), {"tasks": seen, "sizes": [len(c) for _, c in parts]})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        aux = {"sizes": bank.extra["sizes"]}
        if (features := bank.extra["tasks"]) is not None:
            unit = F.normalize(features.detach(), dim=-1)
            aux |= {"tasks": unit @ unit.T, "tasks_names": [w for w, _ in self.tasks]}
        return Out(self.cosine(self.image(batch).pooled, bank.text), aux)

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        other = ~own_classes(batch.target, out.aux["sizes"])
        return {"task": F.cross_entropy(out.pred.masked_fill(other, -torch.inf), batch.target)}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Any]:
        self.along([(task_words(o.task), o.task.classes) for o in episode.others])
        support = join([episode, *episode.others]) if episode.others else episode.support
        yield from gradient(self, episode.replace(support=support), ctx)

    def along(self, others: list[tuple[str, ClassSet]]) -> None:
        """Take in further tasks: contexts of their own are added where every task or class has one."""
        self.tasks = (self.tasks[0], *others)
        if len({w for w, _ in self.tasks}) < len(self.tasks):
            raise BadHyper(f"softcpt tells tasks by their names, and two of {[w for w, _ in self.tasks]} are equal; rename one.")
        for name, rows in (("task_ctx", len(self.tasks)), ("class_ctx", sum(len(c) for _, c in self.tasks))):
            if (old := getattr(self, name, None)) is not None and old.ndim == 3 and len(old) < rows:
                setattr(self, name, nn.Parameter(torch.cat([old.detach(), self._new(rows - len(old), old.shape[1])])))
