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
# # 03 · Base and new: CoCoOp, KgCoOp, ProGrad
#
# **Goals.** See what CoOp loses on names that it was not fitted for, read the harmonic mean, and compare three answers to the dilemma: condition the
# context on the picture (CoCoOp), keep it near the hand-written sentence (KgCoOp), forbid steps that oppose zero-shot (ProGrad).
#
# **Minutes:** about 1.5 on two cores, offline.

# %%
import promptlab as pl
from promptlab.course import check
from promptlab.widgets import Compare, shown

clip = pl.load("pocket")  # or pl.load("ViT-B-16", "openai")
task = pl.open_data("world:animals@pixel-art", shots=8, protocol="base_to_new")
episode, tests = task.draw(seed=1)
print("fitted on:", ", ".join(episode.task.classes.names[:8]), "…")
print("never seen in the fit:", ", ".join(tests[1].task.classes.names[:8]), "…")

# %% [markdown]
# Learn on the first half of the classes (base). Judge on both halves, each among its own names only. CLIP can answer for any name, and a learned
# context stands before any name: so what happens to the new ones?
#
# **Before you run:** CoOp sees base pictures only. Will it be better, equal or worse than zero-shot on the new half?

# %%
zero = pl.fit("zero_shot", clip, task)
coop = pl.fit("coop", clip, task, preset="demo", steps=100)
for name in ("base", "new"):
    before, after = zero.reports[name].headline, coop.reports[name].headline
    print(f"{name:5} zero-shot {100 * before:.1f} %, CoOp {100 * after:.1f} %: {100 * (after - before):+.1f} points")

# %% [markdown]
# ## The harmonic mean
#
# H = 2 / (1/base + 1/new). It is near the smaller of the two: a method cannot buy it on one side only.

# %%
for run in (zero, coop):
    s = run.summary["scores"]
    print(f"{run.key:10} base {100 * s['base']:.1f}  new {100 * s['new']:.1f}  arithmetic mean {50 * (s['base'] + s['new']):.1f}  H {100 * s['H']:.1f}")

# %% [markdown]
# ## Three answers
#
# - **KgCoOp** adds a term: the mean distance of the learned class features from the hand-written ones, times `weight`.
# - **ProGrad** adds nothing to the loss. It looks at the gradient of the task and at zero-shot's advice; where the two point apart, the opposing part is
#   taken out of the step.
# - **CoCoOp** makes the context depend on the picture: a small network adds a shift computed from the image feature.
#
# **Before you run:** which of the three costs most for every picture of a step, and why? (Think of how many sentences the text tower reads.)

# %%
kgcoop = pl.fit("kgcoop", clip, task, preset="demo", steps=100)
prograd = pl.fit("prograd", clip, task, preset="demo", steps=100)
cocoop = pl.fit("cocoop", clip, task, preset="demo", steps=200, batch=4)
for run in (coop, kgcoop, prograd, cocoop):
    steps = [e for e in run.events if e["event"] == "step"]
    pictures = min(run.meta["hyper"]["batch"], len(episode.support))
    each = 1000 * sum(e["seconds"] for e in steps) / len(steps) / pictures
    print(f"{run.key:8} {each:6.1f} ms for every picture of a step ({pictures} pictures a step, {len(steps)} steps)")

# %%
found = pl.compare([zero, coop, kgcoop, prograd, cocoop])
Compare(found, task)

# %%
for column in ("base", "new", "H"):
    order = sorted(found.rows, key=lambda r: -r[column])
    print(f"{column:5}", ", ".join(f"{r['method']} {100 * r[column]:.1f}" for r in order))
kept = [r["method"] for r in found.rows if r["method"] not in ("zero_shot", "coop") and r["new"] > coop.reports["new"].headline]
print("Better than CoOp on new names here:", ", ".join(kept) if kept else "none of the three", "(one seed, few steps).")

# %% [markdown]
# All three keep more of the new names than CoOp does; how much they learn of the base names differs. CoCoOp had 200 steps of 4 pictures, a quarter of the
# pictures that the others saw: its cost is the reason.
#
# ## The strength of the guidance
#
# **Before you run:** KgCoOp with weight 0 is CoOp (with another start); with a very large weight it stays near zero-shot. What do you expect in between?

# %%
weights, lines = [0.0, 1.0, 8.0, 64.0], {"base": [], "new": []}
for weight in weights:
    run = pl.fit("kgcoop", clip, task, preset="demo", steps=60, weight=weight)
    for name in lines:
        lines[name].append(run.reports[name].headline)
for name, values in lines.items():
    print(f"{name:5}", ", ".join(f"weight {w:g}: {100 * v:.1f} %" for w, v in zip(weights, values)), f"(zero-shot {100 * zero.reports[name].headline:.1f} %)")
shown.lines({name: (range(len(weights)), values) for name, values in lines.items()}, "weight 0, 1, 8, 64", "accuracy")

# %% [markdown]
# ## Where did the class features go?
#
# Angles between the zero-shot and the learned feature of each base class:

# %%
for run in (coop, kgcoop, prograd):
    turned = pl.inspect.residuals(run)
    angle = turned.arrays["angle"]
    print(f"{run.key:8} turned its class features by {angle.mean():.0f}° on average (at most {angle.max():.0f}°)")
    print("         most:", ", ".join(episode.task.classes.names[i] for i in angle.argsort()[::-1][:3]))
shown.exhibit(pl.inspect.residuals(kgcoop))

# %% [markdown]
# KgCoOp stays near the hand-written sentence and turns a few names much more than the others. "raccoon", "tiger face" and "cow face" are those of the base half
# that pretraining never showed (notebook 01): their hand-written features are not worth staying near.

# %% [markdown]
# ## Exercises
#
# **03.1** `def answer(base, new)`: the harmonic mean H.

# %%
answer = ...
check("03.1", answer)

# %% [markdown]
# **03.2** `def answer(g, advice)`: ProGrad's step, from the task's gradient `[n]` and the gradient that zero-shot advises `[n]`.

# %%
answer = ...
check("03.2", answer)

# %% [markdown]
# **03.3** Why does CoCoOp cost so much more? (a) its network is large, (b) the image tower must be run in each step, (c) every picture needs its own text
# features of all classes, (d) its loss has more terms.

# %%
answer = ...
check("03.3", answer)

# %% [markdown]
# ## References
#
# Zhou et al., *Conditional Prompt Learning* (CoCoOp), CVPR 2022, arXiv:2203.05557. · Yao et al., *Knowledge-guided Context Optimization* (KgCoOp), CVPR 2023,
# arXiv:2303.13283. · Zhu et al., *Prompt-aligned Gradient* (ProGrad), ICCV 2023, arXiv:2205.14865.
