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
# # 07 · No labels: UPL, GRIP, TPT
#
# **Goals.** Learn from pictures that nobody labelled: from the model's own confident guesses (UPL, GRIP), or on each test picture by itself (TPT). See when
# guesses can be trusted, and what goes wrong when they cannot.
#
# **Minutes:** about 1.5 on two cores, offline.

# %%
import torch
import torch.nn.functional as F

import promptlab as pl
from promptlab.course import check
from promptlab.fit import pseudo
from promptlab.widgets import Lens, shown

clip = pl.load("pocket")  # or pl.load("ViT-B-16", "openai")
task = pl.open_data("world:vehicles@sketch", protocol="unlabelled")
episode, (test,) = task.draw(seed=1)
names = episode.task.classes
zero = pl.fit("zero_shot", clip, task)
print(f"{len(episode.pool)} pictures without labels; zero-shot {100 * zero.report.headline:.1f} % on test")
print("labels of the pool:", episode.pool.targets)

# %% [markdown]
# ## Can guesses be trusted?
#
# The fit never sees labels. We, who look on, may: the world knows what it drew.
#
# **Before you run:** sort the pool by confidence. How much better is the surest tenth than the rest? And are there classes whose
# pictures are hardly ever guessed rightly? No pseudo-label can teach those.

# %%
with torch.no_grad():
    v = F.normalize(torch.cat([clip.cached_image(b).pooled for b in episode.pool.batches(100)]), dim=-1)
    p = (clip.scale * v @ clip.zero_shot(names.clean, names.templates[:1]).T).softmax(1)
confidence, guess = p.max(1)
truth = torch.tensor([row % len(names) for row in episode.pool.rows])  # picture i of the world shows class i mod C
order = confidence.argsort(descending=True)
tenth = len(order) // 10
parts = [float((guess[order[i * tenth : (i + 1) * tenth]] == truth[order[i * tenth : (i + 1) * tenth]]).float().mean()) for i in range(10)]
print(f"surest tenth: {100 * parts[0]:.0f} % right; least sure tenth: {100 * parts[-1]:.0f} % right")
found = {n: float((guess[truth == c] == c).float().mean()) for c, n in enumerate(names.names)}
hardest = sorted(found, key=found.get)[:3]
print("fewest right guesses:", ", ".join(f"{n} {100 * found[n]:.0f} %" for n in hardest), "of the pictures that show it")
shown.lines({"share of right guesses": (range(1, 11), parts)}, "tenth of the pool, surest first", "right")

# %% [markdown]
# ## UPL
#
# Take the K surest pictures of every predicted class as if they were labelled, and fit CoOp on them.
#
# **Before you run:** which K gives the larger share of right labels, and which the larger number of them?

# %%
for k in (2, 8, 32):
    chosen = pseudo.top_k_of(p, k)
    right = float((chosen.label == truth[chosen.index]).float().mean())
    print(f"K = {k:2}: {len(chosen.index):4} pictures labelled, {100 * right:.0f} % of them rightly")

# %%
upl = pl.fit("upl", clip, task, preset="demo", k=8, steps=40)
labelled = next(e for e in upl.events if e["event"] == "labelled")
change = upl.report.headline - zero.report.headline
print(f"UPL labelled {labelled['count']} pictures (mean confidence {100 * labelled['confidence']:.0f} %); "
      f"test {100 * upl.report.headline:.1f} %: {100 * change:+.1f} points against zero-shot")

# %% [markdown]
# ## GRIP: label, fit, label again
#
# GRIP goes on in rounds: it fits on a few pseudo-labels, labels more pictures with the better model, fits again.
#
# **Before you run:** can a second round mend what the first round believed wrongly?

# %%
grip = pl.fit("grip", clip, task, preset="demo", rounds=2, steps=20)
rounds = [e for e in grip.events if e["event"] == "labelled"]
for i, e in enumerate(rounds):
    print(f"round {i + 1}: {e['count']} pictures labelled, mean confidence {100 * e['confidence']:.0f} %")
print(f"test {100 * grip.report.headline:.1f} %: {100 * (grip.report.headline - zero.report.headline):+.1f} points against zero-shot")
shown.bars({"zero-shot": zero.report.headline, "UPL": upl.report.headline, "GRIP": grip.report.headline})

# %% [markdown]
# Which classes won, and which lost?

# %%
best = max((upl, grip), key=lambda r: r.report.headline)
gain = pl.inspect.gain(best.report, zero.report, names.names)
g = gain.arrays["gain"]
i, j = int(g.argmax()), int(g.argmin())
print(f"{best.key}: largest gain '{names.names[i]}' {100 * g[i]:+.0f} points, largest loss '{names.names[j]}' {100 * g[j]:+.0f} points; "
      f"{int((g > 0).sum())} classes better, {int((g < 0).sum())} worse")
print("classes with the fewest right guesses:", ", ".join(f"{n} {100 * g[names.names.index(n)]:+.0f}" for n in hardest), "points")
shown.exhibit(gain)

# %% [markdown]
# The classes without a right guess are names that pretraining never showed (notebook 01). Pseudo-labels cannot teach them; that takes some true labels.
#
# ## TPT: one picture at a time
#
# No pool either. TPT makes many crops of one test picture, keeps the confident ones, takes one step on the context that makes them agree, answers, and
# forgets. (The step here is ten times the paper's: the small backbone's answers hardly move otherwise.)
#
# **Before you run:** the step lowers the entropy of the mean over the kept views. Does the answer become right more often? And does the answer for the picture itself
# become surer every time?

# %%
few = test.split.take(range(0, 80))
subset = type(test)(test.task, few, "test", test.notes)
tpt = pl.fit("tpt", clip, (episode, [subset]), preset="demo", n_views=8, tta_lr=0.05)
base = pl.evaluate(zero, subset)
print(f"80 test pictures: zero-shot {100 * base.headline:.1f} %, TPT {100 * tpt.report.headline:.1f} %; {tpt.report.seconds / 80 * 1000:.0f} ms a picture")
a, b = tpt.report.predictions["pred"].argmax(1), base.predictions["pred"].argmax(1)
target = base.predictions["target"]
mended, spoilt, same = ((a == target) & (b != target)).sum(), ((a != target) & (b == target)).sum(), (a == b).sum()
print(f"{mended} answers mended, {spoilt} spoilt, {same} unchanged, {len(a) - mended - spoilt - same} turned from one wrong name to another")

# %%
steps = [pl.inspect.views(tpt, next(few.take([i]).batches(1))) for i in range(12)]
surer = [v.sanity[0].value < v.sanity[0].control for v in steps]
print(f"the answer became surer for {sum(surer)} of {len(steps)} pictures; here is one of them:")
shown.exhibit(steps[surer.index(True) if any(surer) else 0])

# %% [markdown]
# ## Exercises
#
# **07.1** `def answer(p, k)`: UPL's choice from probabilities `[n, C]`, as a set of `(row, class)`.

# %%
answer = ...
check("07.1", answer)

# %% [markdown]
# **07.2** `def answer(p)`: TPT's loss, the entropy of the mean prediction of the kept views `[V, C]`.

# %%
answer = ...
check("07.2", answer)

# %% [markdown]
# **07.3** What is the danger of pseudo-labels? (a) errors that the model is sure of are learned and confirmed, (b) the pictures are of worse quality,
# (c) confident pictures are wrong more often, (d) the text tower forgets.

# %%
answer = ...
check("07.3", answer)

# %% [markdown]
# ## References
#
# Huang, Chu, Wei, *Unsupervised Prompt Learning* (UPL), arXiv:2204.03649. · Menghini, Delworth, Bach, *Enhancing CLIP with CLIP* (GRIP), NeurIPS 2023,
# arXiv:2306.01669. · Shu et al., *Test-Time Prompt Tuning* (TPT), NeurIPS 2022, arXiv:2209.07511.
