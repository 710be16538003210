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
# # 02 · CoOp from scratch in 40 lines, then the library's
#
# **Goals.** Write prompt learning yourself: vectors instead of words, gradients through a frozen text tower. Then find the same method in the
# library, and read what it learned without fooling yourself.
#
# **Minutes:** about 1 on two cores, offline.

# %%
import time

import torch
import torch.nn.functional as F

import promptlab as pl
from promptlab.backbones.points import TextInput
from promptlab.course import check
from promptlab.widgets import Lens, shown

clip = pl.load("pocket")  # or pl.load("ViT-B-16", "openai")
task = pl.open_data("world:food@pixel-art", shots=8)
episode, (test,) = task.draw(seed=1)
names, support, val = episode.task.classes, episode.support, episode.val

# %% [markdown]
# ## The idea
#
# A sentence is `[start] [a] [photo] [of] [a] [pizza] [.] [end]`: one vector of width D a token. CoOp (arXiv:2109.01134) throws the words away and
# learns the vectors: `[start] [v1] … [v16] [pizza] [.] [end]`. Both towers stay frozen; the only learnable thing is `v`, 16 × D numbers, the same
# for all classes.
#
# **Before you run:** the text tower must be run in every step (v changes), but the image tower not. Why?

# %%
# ---- 40 lines of CoOp --------------------------------------------------------------------------------------------
N_CTX, STEPS, BATCH = 16, 60, 32
torch.manual_seed(1)
ids = clip.tokenize([f"{'X ' * N_CTX}{n}." for n in names.clean])  # X holds a place; [C, 77] with start and end
end = int(clip.ends(ids).max())  # position of the last end token: nothing behind it is ever read
embedded = clip.embed(ids)[:, : end + 1]  # [C, L, D]
start, rest = embedded[:1, :1], embedded[:, 1 + N_CTX :]  # the start token, and name, full stop, end
context = torch.nn.Parameter(0.02 * torch.randn(N_CTX, clip.text_width))


def class_features():
    prefix = torch.cat([start, context[None]], dim=1)  # [1, 1 + n, D]: equal for all classes, so it is run once
    text = clip.encode_text(TextInput(prefix, rest, clip.ends(ids), ids)).pooled  # [C, E]
    return F.normalize(text, dim=-1)


def features(split):  # the image tower is frozen: once is enough
    with torch.no_grad():
        return F.normalize(torch.cat([clip.cached_image(b).pooled for b in split.batches(100)]), dim=-1)


def accuracy(split):
    with torch.no_grad():
        return float(((features(split) @ class_features().T).argmax(1) == split.targets).float().mean())


v, target = features(support), support.targets
optimiser = torch.optim.Adam([context], lr=0.01)
losses, checked, began = [], [], time.perf_counter()
for step in range(STEPS):
    rows = torch.randint(len(v), (BATCH,))
    loss = F.cross_entropy(clip.scale * v[rows] @ class_features().T, target[rows])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    losses.append(float(loss.detach()))
    if step % 10 == 9:
        checked.append((step + 1, accuracy(val)))
seconds = time.perf_counter() - began
# ------------------------------------------------------------------------------------------------------------------
print(f"{STEPS} steps in {seconds:.1f} s; loss {sum(losses[:5]) / 5:.2f} in the first five, {sum(losses[-5:]) / 5:.2f} in the last five")
shown.lines({"loss": (range(1, STEPS + 1), losses)}, "step", "training loss")

# %%
zero = pl.fit("zero_shot", clip, task)
mine = accuracy(test.split)
word = "more" if mine > zero.report.headline else "less"
print(f"test: zero-shot {100 * zero.report.headline:.1f} %, our forty lines {100 * mine:.1f} %: {100 * abs(mine - zero.report.headline):.1f} points {word}.")
print("validation, by step:", ", ".join(f"{s}: {100 * a:.0f} %" for s, a in checked))

# %% [markdown]
# ## The library's
#
# `promptlab/methods/coop.py` is the same, with the paper's schedule, where the name stands, a context per class, words to start from, and checks
# against the numbers of the public code. It is fitted, stopped, saved and compared like every other method.
#
# **Before you run:** more steps, a rate that falls to zero. Will it be better than ours on test pictures?

# %%
run = pl.fit("coop", clip, task, preset="demo", steps=100)
print(f"library, {run.meta['hyper']['steps']} steps: {100 * run.report.headline:.1f} % on test; {run.meta['trainable']:,} numbers trained")
shown.bars({"zero-shot": zero.report.headline, "forty lines": mine, "library": run.report.headline})

# %% [markdown]
# ## How many shots?
#
# Four vectors (768 numbers) this time. **Before you run:** can they be learned from one shot a class?

# %%
curve = {}
for shots in (1, 4, 8):
    curve[shots] = pl.fit("coop", clip, task, shots=shots, preset="demo", steps=60, n_ctx=4).report.headline
better = [k for k, value in curve.items() if value > zero.report.headline]
print("; ".join(f"{k} shot{'s' * (k > 1)} {100 * value:.1f} %" for k, value in curve.items()) + f"; zero-shot {100 * zero.report.headline:.1f} %")
print(f"Better than zero-shot with {' and '.join(map(str, better))} shots." if better else "Not better than zero-shot with any of these numbers of shots.")
shown.lines({"CoOp": (list(curve), list(curve.values())), "zero-shot": (list(curve), [zero.report.headline] * len(curve))}, "shots a class", "test accuracy")

# %% [markdown]
# ## What did it learn?
#
# Nearest words look like meaning. Each vector is therefore shown beside a *null band*: how near to a word a random vector of its length would be.

# %%
words = pl.inspect.words(run, split=val)
outside = words.sanity[0]
print(f"{100 * outside.value:.0f} % of the vectors are nearer to a word than chance would give ({100 * outside.control:.0f} %).")
kept = words.sanity[1]
print(f"With the nearest words in place of the vectors, validation accuracy is {100 * kept.value:.1f} % instead of {100 * kept.control:.1f} %.")
shown.exhibit(words)

# %%
Lens(run, task, "text_attention")

# %% [markdown]
# ## Exercises
#
# **02.1** `def answer(n_ctx, width, classes, class_specific)`: how many numbers does CoOp train?

# %%
answer = ...
check("02.1", answer)

# %% [markdown]
# **02.2** `def answer(start, context, rest)`: the prompts `[C, 1 + n + L, D]` from the start token `[1, 1, D]`, the context `[n, D]` and the rest of
# every class `[C, L, D]`.

# %%
answer = ...
check("02.2", answer)

# %% [markdown]
# **02.3** `def answer(logits, target)`: the cross-entropy, without calling PyTorch's.

# %%
answer = ...
check("02.3", answer)

# %% [markdown]
# ## References
#
# Zhou, Yang, Loy, Liu: *Learning to Prompt for Vision-Language Models*, IJCV 2022, arXiv:2109.01134. · Questions of users about what the learned
# words mean led to the null band used here.
