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
# # 01 · What CLIP knows, and why wording matters
#
# **Goals.** Build the zero-shot classifier by hand; see that the sentence around a name changes the answer although no weight changes; know
# what a prompt ensemble is.
#
# **Minutes:** about 1 on two cores, offline.

# %%
import torch

import promptlab as pl
from promptlab.course import check
from promptlab.widgets import PromptPlayground, shown

clip = pl.load("pocket")  # or pl.load("ViT-B-16", "openai")
task = pl.open_data("world:animals@photo", shots=4)
episode, (test,) = task.draw(seed=1)
names = episode.task.classes.names
print(f"{len(names)} names; image and text features have {clip.joint_dim} numbers; scale {float(clip.scale):.1f}")

# %% [markdown]
# ## By hand
#
# Two towers, one space: a picture becomes a vector, a sentence becomes a vector, and the answer is the sentence with the largest cosine.

# %%
def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


sample = test.split.take(range(0, 400))
with torch.no_grad():
    image = unit(torch.cat([clip.encode_image(b.pixels(clip.spec)).pooled for b in sample.batches(100)]))  # [400, E]
    text = unit(clip.encode_text([f"a photo of a {n}." for n in names]).pooled)  # [40, E]
cosine = image @ text.T  # [400, 40]
right = (cosine.argmax(1) == sample.targets).float()
print(f"{100 * right.mean():.1f} % of {len(sample)} pictures are nearest to their own sentence (chance {100 / len(names):.1f} %).")

# %% [markdown]
# The picture of it: rows are pictures (one of each of twelve classes), columns are sentences. A dark cell on the diagonal is a picture that is
# nearest to its own name; a dark cell beside it is one that is nearer to another.

# %%
rows = [sample.targets.tolist().index(c) for c in range(12)]
shown.heat((clip.scale * cosine[rows][:, :12]).softmax(1), [names[c] for c in range(12)], [names[c] for c in range(12)])

# %% [markdown]
# ## Names that it never saw
#
# Pretraining left some names of the world out, and some of these animals are among them. Most are composed of words that other names teach: it was
# shown a tiger and a cat face, but no "tiger face". For the others there is nothing to go by: "panda" is a word that it never read.
#
# **Before you run:** how many of the pictures of each of them are nearest to their own name?

# %%
from promptlab.world import task_spec

never = task_spec("animals@photo").held_out
share = {n: float(right[sample.targets == names.index(n)].mean()) for n in never}
taught = [i for i, c in enumerate(sample.targets.tolist()) if names[c] not in never]
print(f"{len(names) - len(never)} names that pretraining showed: {100 * right[taught].mean():.1f} % right; the {len(never)} others:")
shown.bars(dict(sorted(share.items(), key=lambda item: -item[1])))

# %% [markdown]
# Names composed of seen words can often, not always, be read; names of words that were never read cannot. No wording helps the latter; learning from labelled
# pictures does, and that is what the next notebooks are about.
#
# **Before you run the next cell:** the cosines of one picture to all 40 sentences: how far apart do you think the largest and the smallest
# are? What does the scale do about it?

# %%
one = cosine[rows[0]]
p_plain, p_scaled = one.softmax(0), (clip.scale * one).softmax(0)
print(f"cosines from {one.min():.2f} to {one.max():.2f}")
print(f"softmax of the cosines: {100 * p_plain.max():.1f} % for the best name; with the scale {float(clip.scale):.0f}: {100 * p_scaled.max():.1f} %")

# %% [markdown]
# ## Words
#
# **Before you run:** no weight changes now. Will "a photo of a fox." and "fox" give the same accuracy? And a sentence that says something
# wrong about the picture?

# %%
wordings = ["{}", "a {}.", "a photo of a {}.", "a sketch of a {}.", "a thermal image of a {}.", "there is no {} here."]
scores = {}
for wording in wordings:
    found = clip.zero_shot(names, (wording,))
    scores[wording] = float(((image @ found.T).argmax(1) == sample.targets).float().mean())
best, worst = max(scores, key=scores.get), min(scores, key=scores.get)
print(f"best '{best}' {100 * scores[best]:.1f} %, worst '{worst}' {100 * scores[worst]:.1f} %: {100 * (scores[best] - scores[worst]):.1f} points by wording alone")
shown.bars(scores)

# %% [markdown]
# An **ensemble** takes the mean of several sentences' unit vectors. It needs no training and costs nothing when pictures are judged.

# %%
ensemble = clip.zero_shot(names, tuple(episode.task.classes.templates))
together = float(((image @ ensemble.T).argmax(1) == sample.targets).float().mean())
single = [float(((image @ clip.zero_shot(names, (t,)).T).argmax(1) == sample.targets).float().mean()) for t in episode.task.classes.templates]
beaten = sum(together >= s for s in single)
print(f"{len(single)} templates of the task: each by itself {100 * min(single):.1f} to {100 * max(single):.1f} %, their ensemble {100 * together:.1f} %.")
print(f"The ensemble is at least as good as {beaten} of the {len(single)} single templates.")

# %% [markdown]
# ## Does a good wording travel?
#
# **Before you run:** the same animals in styles that pretraining never showed. Will the best wording for photos also be the best there? Does it help to name
# the style, as in "a sketch of a fox."?

# %%
table = []
for style in ("photo", "sketch", "thermal"):
    other = pl.open_data(f"world:animals@{style}").data.test.take(range(0, 400))
    seen = unit(torch.cat([clip.cached_image(b).pooled for b in other.batches(100)]))
    table.append([float(((seen @ clip.zero_shot(names, (w,)).T).argmax(1) == other.targets).float().mean()) for w in wordings])
    best, worst = (pick(range(len(wordings)), key=lambda i: table[-1][i]) for pick in (max, min))
    print(f"{style:8} best '{wordings[best]}' {100 * table[-1][best]:.1f} %, worst '{wordings[worst]}' {100 * table[-1][worst]:.1f} %")
shown.heat(table, ["photo", "sketch", "thermal"], wordings, cell=34)

# %% [markdown]
# Naming a style helps only a model that has read its name. `pocket` read of photos, posters, fog and night, never of sketches and thermal images, so those
# words only disturb. A model that was trained on captions from the web has read them; try it there.
#
# ## Try it
#
# Type templates (one a line) and free sentences. It scores on validation pictures: choosing a wording on test pictures would be tuning on them.

# %%
PromptPlayground(clip, task, templates=["a photo of a {}.", "{}"], texts=["a red animal", "something that swims"])

# %% [markdown]
# ## Exercises
#
# **01.1** `def answer(image, text, scale)`: zero-shot logits `[B, C]` from raw features `[B, E]` and `[C, E]`.

# %%
answer = ...
check("01.1", answer)

# %% [markdown]
# **01.2** `def answer(features)`: class features `[C, E]` of an ensemble, from raw text features of T templates `[T, C, E]`.

# %%
answer = ...
check("01.2", answer)

# %% [markdown]
# **01.3** Wording changed the accuracy. What moved? (a) the image features, (b) the weights of the text tower, (c) the class features that
# pictures are compared with, (d) the scale.

# %%
answer = ...
check("01.3", answer)

# %% [markdown]
# ## References
#
# Radford et al., ICML 2021, arXiv:2103.00020 (zero-shot, prompt ensembles: section 3.1.4). · The picture world and `pocket`:
# [figures of the backbone](../pocket.md).
