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
# # 04 · Prompts in both towers: VP, VPT, MaPLe, and what they move
#
# **Goals.** Put the learnable part into pixels (VP), into the image tower's tokens (VPT), or into both towers (MaPLe); see the added tokens at work; measure
# what moves: the pictures, the names, or both.
#
# **Minutes:** about 2 on two cores, offline.

# %%
import torch

import promptlab as pl
from promptlab.course import check
from promptlab.widgets import AttentionExplorer, Lens, shown

clip = pl.load("pocket")  # or pl.load("ViT-B-16", "openai")
task = pl.open_data("world:vehicles@thermal", shots=4)
episode, (test,) = task.draw(seed=1)
zero = pl.fit("zero_shot", clip, task)
print(f"{clip.image_layers} image blocks of width {clip.image_width} on {clip.grid[0]} × {clip.grid[1]} patches; "
      f"{clip.text_layers} text blocks of width {clip.text_width}; zero-shot {100 * zero.report.headline:.1f} %")

# %% [markdown]
# ## Where prompts can stand
#
# A tower's values have names, and a method is a set of edits at such names. What do these four edit?

# %%
for key in ("coop", "vp", "vpt", "maple"):
    method = pl.create(key, clip, task.data.classes, preset="demo")
    places = sorted({edit.at for edit in method.edits()}) or ["nothing inside a tower: it writes the sentences"]
    print(f"{key:6} {method.trainable():7,} numbers at", ", ".join(places[:4]), "…" if len(places) > 4 else "")

# %% [markdown]
# **Before you run:** features of frozen pictures can be kept from step to step. Which of these methods can use that, and which must run the image tower in
# every step?

# %%
runs = {"zero-shot": zero}
runs["CoOp"] = pl.fit("coop", clip, task, preset="demo", steps=60, n_ctx=4)
runs["VP"] = pl.fit("vp", clip, task, preset="demo", steps=20, batch=32)
runs["VPT"] = pl.fit("vpt", clip, task, preset="demo", steps=40)
runs["MaPLe"] = pl.fit("maple", clip, task, preset="demo", steps=40)
for name, run in runs.items():
    print(f"{name:10} {100 * run.report.headline:5.1f} %   fitted in {run.meta['seconds']:5.1f} s   {run.meta['trainable']:7,} numbers")
shown.bars({name: run.report.headline for name, run in runs.items()})

# %%
steps = {name: [e["seconds"] for e in run.events if e["event"] == "step"] for name, run in runs.items() if name != "zero-shot"}
each = {name: 1000 * sorted(s)[len(s) // 2] for name, s in steps.items()}
slowest, quickest = max(each, key=each.get), min(each, key=each.get)
print(", ".join(f"{name} {ms:.0f} ms" for name, ms in each.items()), f"for a median step: {slowest} is the slowest, {quickest} the quickest.")

# %% [markdown]
# All of them had few steps here, and VP had the fewest: 20 steps of 32 pictures, where the paper trains it for a thousand epochs on whole data sets. It ends a
# little below zero-shot, the others above it. The rows show the mechanisms and what they cost, not what they can reach.
#
# ## A prompt in pixels

# %%
Lens(runs["VP"], task, "pixels")

# %% [markdown]
# ## Added tokens at work
#
# MaPLe's image prompts stand behind the patches. Do the patches look at them? Hover over a patch, and choose layers and heads on the right.

# %%
AttentionExplorer(runs["MaPLe"], task)

# %%
picture = next(test.split.take([30]).batches(1))
for name in ("VPT", "MaPLe"):
    seen = pl.inspect.attention(runs[name], picture)
    share = seen.arrays["patch_to_prompt"].sum(1)  # [L]: attention of the patches that goes to added tokens
    t = seen.arrays["after"].shape[-1]
    added = seen.arrays["patch_to_prompt"].shape[1]
    print(f"{name:6} {added} added tokens of {t}: they get {100 * share.mean():.1f} % of the patches' attention (even shares would be {100 * added / t:.1f} %)")

# %% [markdown]
# ## Feature shift
#
# A tuned model answers with moved features. **Before you run:** for each of the four, say which side moves: pictures, names, or both.

# %%
several = next(test.split.take(range(0, 96)).batches(96))
moved = {}
for name in ("CoOp", "VP", "VPT", "MaPLe"):
    found = pl.inspect.shift(runs[name], several)
    moved[name] = found.settings
    image, text = found.settings["image_shift"], found.settings["text_shift"]
    side = "both sides" if min(image, text) > 0.01 else "the pictures only" if image > text else "the names only"
    print(f"{name:6} pictures moved by {image:.2f}, names by {text:.2f} (unit vectors): {side}; squared difference {found.settings['discrepancy']:.3f}")

# %%
shown.exhibit(pl.inspect.shift(runs["MaPLe"], several))

# %% [markdown]
# VP trains pixels only, and yet its names move: it asks with its own sentence ("This is a photo of a …") instead of the task's. A shift of the names need not
# be learned.
#
# *The two modalities should move together* is an idea of its own: RESTORE (arXiv:2403.06136) punishes the difference of the two shifts. By this measure, here:

# %%
order = sorted(moved, key=lambda n: moved[n]["discrepancy"])
print(" < ".join(f"{n} {moved[n]['discrepancy']:.3f}" for n in order))

# %% [markdown]
# ## Exercises
#
# **04.1** `def answer(size, pad)`: how many numbers has VP's frame of `pad` pixels around a colour picture of `size` pixels a side?

# %%
answer = ...
check("04.1", answer)

# %% [markdown]
# **04.2** `def answer(tokens, prompts)`: deep prompts. `tokens` `[B, T, D]` end with the n prompts that came out of the block before; put this block's
# `prompts` `[n, D]` in their place.

# %%
answer = ...
check("04.2", answer)

# %% [markdown]
# **04.3** `def answer(before, after)`: the mean feature shift of raw features `[B, E]`.

# %%
answer = ...
check("04.3", answer)

# %% [markdown]
# ## References
#
# Bahng et al., *Exploring Visual Prompts*, arXiv:2203.17274. · Jia et al., *Visual Prompt Tuning*, ECCV 2022, arXiv:2203.12119. · Khattak et al., *MaPLe*,
# CVPR 2023, arXiv:2210.03117. · *RESTORE: Towards Feature Shift for Vision-Language Prompt Learning*, arXiv:2403.06136.
