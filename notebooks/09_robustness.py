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
# # 09 · Robustness: domain shift, WiSE-FT, calibration, seeds
#
# **Goals.** Ask of a tuned model what a table of accuracies hides: does it hold on pictures of another kind? Does it know when it is wrong? Would
# another draw of the shots have turned the order round?
#
# **Minutes:** about 2 on two cores, offline.

# %%
import numpy as np

import promptlab as pl
from promptlab.course import check
from promptlab.data import protocols
from promptlab.data.task import TestSet
from promptlab.widgets import Compare, shown

clip = pl.load("pocket")  # or pl.load("ViT-B-32", "openai")
TASK, STYLES = "vehicles", ("photo", "embroidery")
source = pl.open_data(f"world:{TASK}@pixel-art", shots=8)

# %% [markdown]
# ## Another kind of picture
#
# Learn on pixel art; judge on pixel art and, with the same names, on photos and embroidery, which nothing was tuned on.
#
# **Before you run:** WiSE-FT fine-tunes the *whole* image tower on 8 shots a class, then averages the weights with the zero-shot weights (α = 0 zero-shot,
# α = 1 fine-tuned). Where on the line will pixel art be answered best, and where the others?

# %%
others = [pl.open_data(f"world:{TASK}@{style}").data for style in STYLES]
episode, tests = protocols.domain_shift(source.data, others, shots=8, seed=1)
tests = [TestSet(t.task, t.split.take(range(0, 240)), t.name, t.notes) for t in tests]  # ten pictures a class are enough here
wise = pl.fit("wise_ft", clip, (episode, tests), preset="demo", steps=40)
print({name: f"{100 * r.headline:.1f} %" for name, r in wise.reports.items()}, f"at alpha {wise.meta['hyper']['alpha']}")

# %%
import dataclasses

from promptlab.evaluate import evaluate

alphas, lines = [0.0, 0.25, 0.5, 0.75, 1.0], {}
method, kept = wise.method, wise.method.hyper
for alpha in alphas:
    method.hyper = dataclasses.replace(kept, alpha=alpha)
    for test in tests:
        lines.setdefault(test.name, []).append(evaluate(method, test).headline)
method.hyper = kept
for name, values in lines.items():
    i = int(np.argmax(values))
    print(f"{name:18} zero-shot {100 * values[0]:.1f} %, fine-tuned {100 * values[-1]:.1f} %, best {100 * values[i]:.1f} % at alpha {alphas[i]}")
shown.lines({name: (alphas, values) for name, values in lines.items()}, "alpha", "accuracy")

# %% [markdown]
# The test pictures draw this curve; they must not *choose* α. On validation pictures of the source it can be chosen:

# %%
chosen = pl.inspect.live(wise, "alpha", episode.val, alphas)
best = alphas[int(chosen.arrays["accuracy"].argmax())]
at = alphas.index(best)
mean = {a: np.mean([v[i] for v in lines.values()]) for i, a in enumerate(alphas)}
print(f"Validation chooses alpha = {best}; the mean over the three test sets there is {100 * mean[best]:.1f} %, at 0 {100 * mean[0.0]:.1f} %, at 1 {100 * mean[1.0]:.1f} %.")

# %% [markdown]
# ## Does it know when it is wrong?
#
# A model is *calibrated* when it is right on 80 % of the pictures of which it is 80 % sure. ECE is the mean gap, in bins of confidence.
#
# **Before you run:** training rewards being sure on the shots. Will a tuned model be too sure on test pictures, or not sure enough? And zero-shot?

# %%
task = pl.open_data("world:animals@pixel-art", shots=4)
zero = pl.fit("zero_shot", clip, task)
coop = pl.fit("coop", clip, task, preset="demo", steps=60)
taskres = pl.fit("taskres", clip, task, preset="demo", steps=150)
for run in (zero, coop, taskres):
    p = run.report.predictions["pred"]
    p = np.exp(p - p.max(1, keepdims=True))
    sure = float((p / p.sum(1, keepdims=True)).max(1).mean())
    said = "too sure" if sure > run.report.headline else "not sure enough"
    print(f"{run.key:10} accuracy {100 * run.report.headline:.1f} %, mean confidence {100 * sure:.1f} %: {said} on average; ECE {100 * run.report.metrics['ece']:.1f}")

# %%
pictures = [pl.inspect.reliability(run.report) for run in (zero, coop, taskres)]
full = {run.key: p.arrays for run, p in zip((zero, coop, taskres), pictures)}
drawn = {k: (a["confidence"][a["count"] > 4], a["accuracy"][a["count"] > 4]) for k, a in full.items()}
shown.lines({**drawn, "calibrated": ([0, 1], [0, 1])}, "confidence", "accuracy")

# %% [markdown]
# Zero-shot is as sure on pixel art as on the styles that pretraining showed, and right less often: of the three it is the furthest from calibrated. The tuned methods
# have seen pixel art.
#
# ## Seeds
#
# A seed draws the shots and starts the vectors. Published tables are means over three seeds.
#
# **Before you run:** how large will the spread be, next to the differences between the methods?

# %%
table = pl.compare(["zero_shot", ("coop", {"steps": 40, "n_ctx": 4}), ("taskres", {"steps": 80}), "tip_adapter"], "world:vehicles@night", shots=2,
                   seeds=(1, 2, 3), clip=clip, preset="demo")
Compare(table, pl.open_data("world:vehicles@night", shots=2))

# %%
rows = sorted(table.rows, key=lambda r: -r["accuracy"])
for row in rows:
    print(f"{row['method'].split(':')[0]:12} {100 * row['accuracy']:5.1f} ± {100 * row['accuracy_spread']:.1f} %")
for first, second in zip(rows, rows[1:]):
    gap, noise = first["accuracy"] - second["accuracy"], max(first["accuracy_spread"], second["accuracy_spread"])
    said = "more than the spread" if gap > noise else "within the spread: three seeds cannot tell them apart"
    print(f"{first['method'].split(':')[0]} over {second['method'].split(':')[0]}: {100 * gap:.1f} points, {said}")

# %% [markdown]
# ## Exercises
#
# **09.1** `def answer(zero, tuned, alpha)`: WiSE-FT's weights.

# %%
answer = ...
check("09.1", answer)

# %% [markdown]
# **09.2** `def answer(confidence, right, bins)`: the expected calibration error of n answers with confidence `[n]` in 0..1 and `right` `[n]` (True, False),
# in `bins` equal bins.

# %%
answer = ...
check("09.2", answer)

# %% [markdown]
# **09.3** Method A has 71.0 ± 1.8 over three seeds, B 70.2 ± 1.1. What can be said? (a) A is better, (b) both need more epochs, (c) they cannot be told
# apart, (d) a difference below one point is never real.

# %%
answer = ...
check("09.3", answer)

# %% [markdown]
# ## References
#
# Wortsman et al., *Robust Fine-Tuning of Zero-Shot Models*, CVPR 2022, arXiv:2109.01903. · Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017,
# arXiv:1706.04599. · Zhou et al., *Conditional Prompt Learning*, CVPR 2022, arXiv:2203.05557 (domain generalisation).
