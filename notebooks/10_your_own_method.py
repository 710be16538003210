# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 · Your own method in one cell, and in the app
#
# **Goals.** Write a method as its difference from zero-shot; give it a card and a knob; check it with the public suite; use it everywhere: in `fit`, in the
# trainer, in the app.
#
# **Minutes:** about 1 on two cores, offline.

# %%
import torch
from torch import nn

import promptlab as pl
from promptlab import registry
from promptlab.course import check
from promptlab.widgets import Trainer, shown

clip = pl.load("pocket")  # or pl.load("ViT-B-16", "openai")
task = pl.open_data("world:animals@pixel-art", shots=4)

# %% [markdown]
# ## Seven verbs, and you override what you change
#
# `__init__` makes the learnables; `edits` changes values inside the towers; `classes` makes the class side (names only, once); `forward` answers for a batch;
# `loss`, `fit`, `predict` have working defaults. The empty method *is* zero-shot.
#
# The idea of this notebook: some of the joint space's 192 directions carry noise on pixel art. Learn one weight for each direction of the image feature.
#
# **Before you run:** with all weights at 1, what must the method answer before it has learned anything?

# %%
from dataclasses import dataclass

from promptlab.card import Card, Train, knob


@dataclass(frozen=True)
class Hyper(Train):
    optimiser: str = knob("adam", choices=("sgd", "adam", "adamw"), help="optimiser")
    lr: float = knob(0.02, 0.0, 1000.0, help="base learning rate")
    strength: float = knob(1.0, 0.0, 2.0, live=True, help="how much of the learned weights is used; 0 is zero-shot")


@registry.add
class Directions(pl.Method):
    """v' = v · (1 + strength · g), g [E] starts at 0; answer = scale · cosine(v', t_c)."""

    card = Card(
        id="directions", name="Directions", year=2026, venue="course", paper="", code="", checked="none", family="adapter",
        supervision="supervised", difference="a learned weight for each direction of the image feature", trains="one weight a direction",
        identity_at_init=True, params_b16_k100=512, presets={"demo": {"steps": 80, "augment": "none", "weight_decay": 0.0}},
    )
    Hyper = Hyper

    def __init__(self, backbone, task, hyper):
        super().__init__(backbone, task, hyper)
        self.gain = nn.Parameter(torch.zeros(backbone.joint_dim, device=backbone.device))

    def forward(self, batch, bank):
        v = self.image(batch).pooled.float()
        return pl.Out(self.cosine(v * (1 + self.hyper.strength * self.gain), bank.text))


# %% [markdown]
# ## Fit it like any other

# %%
zero = pl.fit("zero_shot", clip, task)
run = pl.fit("directions", clip, task, preset="demo")
change = run.report.headline - zero.report.headline
print(f"zero-shot {100 * zero.report.headline:.1f} %, directions {100 * run.report.headline:.1f} %: {100 * change:+.1f} points with {run.meta['trainable']} numbers")
untrained = pl.create("directions", clip, task.data.classes)
picture = next(task.data.test.take([0]).batches(1))
plain = pl.create("zero_shot", clip, task.data.classes)
with torch.no_grad():
    difference = (untrained(picture, untrained.bank()).pred - plain(picture, plain.bank()).pred).abs().max()
print(f"before any step its answer differs from zero-shot by {float(difference):.1e}")

# %% [markdown]
# The knob is `live`: it may change without another fit. **Before you run:** which strength will be best on validation pictures: less than 1, 1, or more?

# %%
curve = pl.inspect.live(run, "strength", task.draw(1)[0].val, [0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0])
values, accuracy = curve.arrays["value"], curve.arrays["accuracy"]
print(f"best on validation: strength {values[accuracy.argmax()]:g} ({100 * accuracy.max():.1f} %); at 1: {100 * accuracy[4]:.1f} %, at 0: {100 * accuracy[0]:.1f} %")
shown.lines({"directions": (values, accuracy)}, "strength", "validation accuracy")

# %% [markdown]
# ## What did it learn?

# %%
gain = run.method.gain.detach()
top = gain.abs().argsort(descending=True)[:5].tolist()
print(f"weights from {float(1 + gain.min()):.2f} to {float(1 + gain.max()):.2f}; most changed directions: {top}")
shown.lines({"1 + gain, sorted": (range(len(gain)), sorted((1 + gain).tolist()))}, "direction", "weight")

# %% [markdown]
# ## The public check suite
#
# The suite that all methods of the library pass: gradients reach every learnable, the backbone stays untouched, rows do not depend on their batch, saving and
# loading, stopping, same seed same numbers, and more. It runs on tiny random towers.

# %%
from promptlab.testing import checks

suite, failed = checks(Directions), []
for one in suite:
    try:
        one()
    except AssertionError as error:
        failed.append(f"{one.name}: {error}")
print(f"{len(suite) - len(failed)} of {len(suite)} checks hold.", *failed, sep="\n")

# %% [markdown]
# ## In the trainer and in the app
#
# Nothing had to be registered twice: the choices, the knobs with their ranges and the help texts come from the card.

# %%
trainer = Trainer(clip, task, "directions", hyper={"steps": 20})
trainer.train()
trainer

# %%
from promptlab.docs import found_cards

listed = [card.id for card in found_cards()[0]]
print(f"The app offers {len(listed) - 1} methods beside zero-shot; 'directions' is {'one of them' if 'directions' in listed else 'not among them'}.")
# Uncomment to open the app from this notebook, with your method in it:
# from promptlab import ui
# ui.launch(ui.build_app(), wait=False)

# %% [markdown]
# To keep a method, put the cell into a file: `promptlab/methods/directions.py`, or a package of your own that names it under the entry-point group
# `promptlab.methods`.
#
# ## Exercises
#
# **10.1** Your method learns something about the class *names*. Which verb is the place for it? (a) `classes`, (b) `forward`, (c) `fit`, (d) `loss`.

# %%
answer = ...
check("10.1", answer)

# %% [markdown]
# **10.2** Write a method of your own (a subclass of `pl.Method` with a card). The check runs the public suite on it. An idea: a learned vector added to each
# class feature.

# %%
answer = ...
check("10.2", answer)

# %% [markdown]
# **10.3** What happens at `pl.fit("directions", clip, task, strength=7.0)`? (a) it is set to 2, (b) one sentence says what is allowed, before anything is
# computed, (c) it trains and gives strange results, (d) only the app refuses it.

# %%
answer = ...
check("10.3", answer)

# %% [markdown]
# ## References
#
# `CONTRIBUTING.md` has the whole contract; every file in `promptlab/methods/` is an example of 40 to 150 lines.
