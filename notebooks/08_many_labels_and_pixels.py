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
# # 08 · Many labels and pixels: DualCoOp, MaskCLIP, DenseCLIP
#
# **Goals.** Leave "one class a picture": judge several labels by ranking (mAP), give every pixel a name (mIoU), and see where a CLIP looks when it says that
# something is there.
#
# **Minutes:** about 1.5 on two cores, offline.

# %%
import numpy as np
import torch

import promptlab as pl
from promptlab.course import check
from promptlab.widgets import Lens, shown

clip = pl.load("pocket")  # or pl.load("RN50", "openai")
scenes = pl.open_data("world:scenes@photo", shots=8)
episode, (test,) = scenes.draw(seed=1)
names = episode.task.classes.names
few = test.split.take(range(0, 200))
several = type(test)(test.task, few, "test", test.notes)
counts = episode.support.targets.clamp(min=0).sum(1)
print(f"{len(episode.support)} pictures with {counts.min()} to {counts.max()} of {len(names)} labels each")
said = [" + ".join(names[c] for c in (few.targets[i] == 1).nonzero()[:, 0]) for i in range(6)]
shown.gallery(few, range(6), said, side=110)

# %% [markdown]
# ## One softmax is not enough
#
# Zero-shot makes all names compete for one picture, but two things may both be there. With several labels a method is judged by ranking: for every class, are
# the pictures that show it ranked before the others? The mean over classes is mAP.
#
# **Before you run:** a guess in the dark has an average precision equal to the share of positives. How large is it here?

# %%
positive = float((few.targets == 1).float().mean())
zero = pl.fit("zero_shot", clip, (episode, [several]))
print(f"share of positives {100 * positive:.1f} %; zero-shot mAP {100 * zero.report.headline:.1f} %")

# %% [markdown]
# **DualCoOp** learns a positive and a negative context for every label ("it is there", "it is not"), and reads both where the positive one looks.

# %%
dual = pl.fit("dualcoop", clip, (episode, [several]), preset="demo", steps=60)
change = dual.report.headline - zero.report.headline
print(f"DualCoOp mAP {100 * dual.report.headline:.1f} %: {100 * change:+.1f} points; {dual.meta['trainable']:,} numbers trained")
shown.bars({"guessing": positive, "zero-shot": zero.report.headline, "DualCoOp": dual.report.headline})

# %%
per = {k: v for k, v in dual.report.metrics["per_class"].items() if v is not None}
start = zero.report.metrics["per_class"]
gains = {k: v - start[k] for k, v in per.items() if start.get(k) is not None}
best, worst = max(gains, key=gains.get), min(gains, key=gains.get)
print(f"largest change up: '{best}' {100 * gains[best]:+.0f}; down (or least up): '{worst}' {100 * gains[worst]:+.0f} points of average precision")

# %% [markdown]
# Where does it look? The weights of the region pooling for one class. **Before you look:** must the map be right for the label to be right?

# %%
Lens(dual, several, "masks")

# %% [markdown]
# ## A name for every pixel, without training
#
# The last attention block of a CLIP mixes all patches into one answer. **MaskCLIP** lets every patch pass on its own *value* instead, so that each place can be
# compared with the names.
#
# **Before you run:** pocket sees 8 × 8 patches. How good can masks of 64 cells be, on pictures of 64 × 64 pixels?

# %%
masks = pl.open_data("world:scenes-masks@photo", shots=8)
cells, (pixels,) = masks.draw(seed=1)
small = type(pixels)(pixels.task, pixels.split.take(range(0, 60)), "test", pixels.notes)
value = pl.fit("maskclip", clip, (cells, [small]), preset="demo")
ordinary = pl.fit("maskclip", clip, (cells, [small]), preset="demo", mode="attn")
print(f"value path: mIoU {100 * value.report.headline:.1f} %; ordinary last attention: {100 * ordinary.report.headline:.1f} %")

# %%
ideal = []  # the best that 8 × 8 cells can do: each cell takes its commonest class
for i in range(30):
    true = small.split.targets[i].reshape(8, 8, 8, 8).permute(0, 2, 1, 3).reshape(8, 8, 64)
    best_cell = true.mode(-1).values
    ideal.append(float((true == best_cell[..., None]).float().mean()))
background = float((small.split.targets == 0).float().mean())
print(f"share of pixels that 8 × 8 cells can name rightly at best: {100 * np.mean(ideal):.1f} %; pixels that are background: {100 * background:.1f} %")
print(f"pixels that MaskCLIP names rightly: {100 * value.report.metrics['pixel_accuracy']:.1f} %")

# %% [markdown]
# ## Training a little: DenseCLIP
#
# **DenseCLIP** lets learned contexts and the picture itself shape the class features, and trains on the masks of a few pictures.
#
# **Before you run:** eight pictures a class. What is the cheapest thing that a trained method can learn from masks? (Look at the share of background.)

# %%
dense = pl.fit("denseclip", clip, (cells, [small]), preset="demo", steps=60)
print(f"DenseCLIP mIoU {100 * dense.report.headline:.1f} %: {100 * (dense.report.headline - value.report.headline):+.1f} points against MaskCLIP")
for name, run in (("MaskCLIP", value), ("DenseCLIP", dense)):
    print(f"pixels that {name} names rightly: {100 * run.report.metrics['pixel_accuracy']:.1f} % (background everywhere would be {100 * background:.1f} %)")
shown.bars({"ordinary attention": ordinary.report.headline, "MaskCLIP": value.report.headline, "DenseCLIP": dense.report.headline})

# %%
picture, found = small.split.take([2]), {}


def things(label):  # where something is, on at most 16 × 16 cells
    step = max(1, len(label) // 16)
    return (np.asarray(label)[::step, ::step] != 0).astype(float)


for name, run in (("MaskCLIP", value), ("DenseCLIP", dense)):
    found[f"{name}: not background"] = things(pl.inspect.masks(run, next(picture.batches(1))).arrays["label"])
found["true: not background"] = things(small.split.targets[2])
for name, cells_of in found.items():
    print(f"{name:27} {100 * cells_of.mean():.0f} % of the picture")
shown.maps(np.asarray(small.split.source.image(small.split.rows[2])) / 255, found)

# %% [markdown]
# Trained for so few steps, DenseCLIP says "background" too often: that names many pixels rightly and is why mIoU, the mean over classes, is the score to read.

# %% [markdown]
# ## Exercises
#
# **08.1** `def answer(scores, target)`: the average precision of one class, from scores `[n]` and targets `[n]` in {0, 1}.

# %%
answer = ...
check("08.1", answer)

# %% [markdown]
# **08.2** `def answer(found, true, c)`: the intersection over union of class c, from two label maps `[H, W]`.

# %%
answer = ...
check("08.2", answer)

# %% [markdown]
# **08.3** What does MaskCLIP change? (a) it trains the last block, (b) the last block passes each place's own value on instead of mixing places, (c) it uses
# other sentences, (d) it cuts the picture into pieces and encodes each.

# %%
answer = ...
check("08.3", answer)

# %% [markdown]
# ## References
#
# Sun, Hu, Saenko, *DualCoOp*, NeurIPS 2022, arXiv:2206.09541. · Zhou, Loy, Dai, *Extract Free Dense Labels from CLIP* (MaskCLIP), ECCV 2022, arXiv:2112.01071. ·
# Rao et al., *DenseCLIP*, CVPR 2022, arXiv:2112.01518.
