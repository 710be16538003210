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
# # 06 · Adapters and caches, and what each shot votes
#
# **Goals.** Adapt without learned words: a memory of the shots (Tip-Adapter), a bottleneck on the image feature (CLIP-Adapter), a residual on
# the class features (TaskRes); see which shots voted for an answer; choose on validation pictures, not on test pictures.
#
# **Minutes:** about 1 on two cores, offline.

# %%
import torch
import torch.nn.functional as F

import promptlab as pl
from promptlab import registry
from promptlab.compare import Comparison
from promptlab.course import check
from promptlab.widgets import Compare, Lens, shown

clip = pl.load("pocket")  # or pl.load("ViT-B-16", "openai")
task = pl.open_data("world:vehicles@embroidery", shots=8)
episode, (test,) = task.draw(seed=1)
names, support = episode.task.classes.names, episode.support
zero = pl.fit("zero_shot", clip, task)
print(f"{len(names)} classes, {len(support)} shots; zero-shot {100 * zero.report.headline:.1f} %")

# %% [markdown]
# ## A memory, without any training
#
# Keep the unit features of the shots as keys K `[M, E]` and their labels as values V `[M, C]`. A new picture v asks the memory:
# `votes = α · exp(-β (1 - v K)) V`, added to the zero-shot logits.
#
# **Before you run:** the nearest shot alone (1-nearest-neighbour) uses no text at all. Better or worse than zero-shot?

# %%
with torch.no_grad():
    keys = F.normalize(torch.cat([clip.cached_image(b).pooled for b in support.batches(100)]), dim=-1)
    v = F.normalize(torch.cat([clip.cached_image(b).pooled for b in test.split.batches(100)]), dim=-1)
affinity = v @ keys.T  # [n, M]
nearest = float((support.targets[affinity.argmax(1)] == test.split.targets).float().mean())
one_hot = F.one_hot(support.targets, len(names)).float()
plain = clip.scale * v @ clip.zero_shot(names, episode.task.classes.templates).T


def accuracy(alpha, beta):
    pred = plain + alpha * torch.exp(-beta * (1 - affinity)) @ one_hot
    return float((pred.argmax(1) == test.split.targets).float().mean())


both = accuracy(2.0, 5.0)
print(f"nearest shot {100 * nearest:.1f} %, zero-shot with all templates {100 * accuracy(0.0, 5.0):.1f} %, both together (α=2, β=5) {100 * both:.1f} %")
print("Together they beat each alone." if both > max(nearest, accuracy(0.0, 5.0)) else "Together they do not beat each alone here.")

# %% [markdown]
# ## α and β
#
# **Before you run:** how much do you expect them to decide? The public code of Tip-Adapter searches them on *test* features for ImageNet; the library searches on validation
# pictures.

# %%
tip = pl.fit("tip_adapter", clip, task, preset="demo")
print(next(e["text"] for e in tip.events if e["event"] == "note"))
for knob, values in (("alpha", [0.1, 0.5, 1, 2, 4, 8]), ("beta", [0.5, 2, 4, 8, 12])):
    curve = pl.inspect.live(tip, knob, episode.val, values)
    spread = curve.arrays["accuracy"].max() - curve.arrays["accuracy"].min()
    print(f"{knob}: validation accuracy moves by {100 * spread:.1f} points over {values}")
print(f"test: {100 * tip.report.headline:.1f} % with the chosen values, {100 * both:.1f} % with α=2 and β=5, zero-shot {100 * zero.report.headline:.1f} %")

# %% [markdown]
# ## What each shot votes
#
# **Before you run:** a picture of a bus. Do only shots of buses vote?

# %%
votes = pl.inspect.memory(tip, next(test.split.take([24]).batches(1)))
label, vote = votes.arrays["label"], votes.arrays["vote"]
true = int(test.split.targets[24])
own = vote[label == true].sum() / vote.sum()
print(f"picture of '{names[true]}': {100 * own:.0f} % of all votes come from its own class, {100 * (1 - own):.0f} % from others")
for beta in (1, 5, 20):
    w = torch.exp(-beta * (1 - affinity[24]))
    print(f"with β = {beta:2}: {100 * float(w[support.targets == true].sum() / w.sum()):.0f} % from its own class ({100 / len(names):.0f} % if all shots voted alike)")
top = vote.argsort()[::-1][:8]
shown.gallery(support, [int(i) for i in top], [f"{names[label[i]]} {vote[i]:.2f}" for i in top])

# %% [markdown]
# β says how fast a vote fades with distance. With a small β nearly all shots vote almost alike, and α has to be large so that the small differences count.

# %%
Lens(tip, task, "memory")

# %% [markdown]
# ## Training a little
#
# Tip-Adapter-F trains the keys; CLIP-Adapter bends the image feature by a bottleneck and blends it (`ratio`); TaskRes adds a learned vector to every
# class feature and needs no tower at all in training.
#
# **Before you run:** which of them can still answer for a class name that it has not seen?

# %%
tip_f = pl.fit("tip_adapter", clip, task, preset="demo", finetune=True)
adapter = pl.fit("clip_adapter", clip, task, preset="demo", steps=150)
taskres = pl.fit("taskres", clip, task, preset="demo", steps=150)
labels = ("zero_shot", "tip_adapter", "tip_adapter (F)", "clip_adapter", "taskres")
found = Comparison((zero, tip, tip_f, adapter, taskres), labels)
Compare(found, task)

# %%
for row in sorted(found.rows, key=lambda r: -r["accuracy"]):
    card = registry.card(row["method"].split()[0])
    new = "answers for new names" if card.open_vocabulary else "answers for its own classes only"
    print(f"{row['method']:20} {100 * row['accuracy']:5.1f} %  {row['seconds']:5.1f} s  {row['trainable']:7,} trained  {new}")

# %% [markdown]
# `ratio` of CLIP-Adapter is live: 0 is zero-shot, 1 is the adapter alone.

# %%
curve = pl.inspect.live(adapter, "ratio", episode.val, [0, 0.2, 0.4, 0.6, 0.8, 1.0])
a, r = curve.arrays["accuracy"], curve.arrays["value"]
print(f"validation: {100 * a[0]:.1f} % at 0, best {100 * a.max():.1f} % at {r[a.argmax()]:g}, {100 * a[-1]:.1f} % at 1")
shown.lines({"CLIP-Adapter": (r, a)}, "ratio", "validation accuracy")

# %% [markdown]
# ## More shots
#
# **Before you run:** a memory grows with every shot. Which curve should rise longest?

# %%
curves = {}
for key in ("tip_adapter", "taskres"):
    scores = [pl.fit(key, clip, task, shots=n, preset="demo", **({"steps": 100} if key == "taskres" else {})).report.headline for n in (1, 4, 16)]
    curves[key] = ([1, 4, 16], scores)
    print(f"{key:12} from 1 to 16 shots: {100 * (scores[-1] - scores[0]):+.1f} points")
curves["zero-shot"] = ([1, 4, 16], [zero.report.headline] * 3)
shown.lines(curves, "shots a class", "test accuracy")

# %% [markdown]
# ## Exercises
#
# **06.1** `def answer(affinity, labels, alpha, beta)`: the votes `[B, C]` of a memory, from cosines `[B, M]` and one-hot labels `[M, C]`.

# %%
answer = ...
check("06.1", answer)

# %% [markdown]
# **06.2** `def answer(feature, bent, ratio)`: CLIP-Adapter's image feature, unit length.

# %%
answer = ...
check("06.2", answer)

# %% [markdown]
# **06.3** What keeps Tip-Adapter from answering for a new class name? (a) the image tower, (b) the text tower, (c) α and β, (d) the memory.

# %%
answer = ...
check("06.3", answer)

# %% [markdown]
# ## References
#
# Zhang et al., *Tip-Adapter*, ECCV 2022, arXiv:2207.09519. · Gao et al., *CLIP-Adapter*, IJCV 2024, arXiv:2110.04544. · Yu et al., *Task Residual*,
# CVPR 2023, arXiv:2211.10277.
