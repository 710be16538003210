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
# # 00 · A tour in ten cells
#
# **Goals.** See the whole way once: a few labelled pictures, what a frozen CLIP already knows, a method that learns from the pictures, a
# comparison that says whether it helped, and a look inside.
#
# **Minutes:** about 1 on two cores, offline.
#
# `pocket` is a small CLIP that comes with the package. Every cell takes a real model as well: `pl.load("ViT-B-16", "openai")`.

# %%
import promptlab as pl
from promptlab.course import check
from promptlab.widgets import Compare, Lens, Trainer, shown

clip = pl.load("pocket")
task = pl.open_data("world:animals@pixel-art", shots=4)
task

# %% [markdown]
# ## The shots
#
# Four pictures a class to learn from. Some more are set aside as *validation* pictures, to choose with; the *test* pictures are for judging
# only, and no fit ever holds them.

# %%
episode, (test,) = task.draw(seed=1)
names = episode.task.classes.names
first = [episode.support.targets.tolist().index(c) for c in range(12)]
shown.gallery(episode.support, first, [names[c] for c in range(12)])

# %% [markdown]
# **Before you run the next cell:** the backbone never saw pixel art, but it knows most of these names from other pictures. With 40 names to
# choose from, chance is 2.5 %. How often will it be right?

# %%
zero = pl.fit("zero_shot", clip, task)
print(f"Zero-shot is right on {100 * zero.report.headline:.1f} % of {zero.report.protocol['pictures']} test pictures.")
zero

# %% [markdown]
# ## Training
#
# The trainer's choices come from the methods' cards. Here it trains in the cell; the **Train** button does the same in the background. Stop,
# or an interrupt of the kernel, ends a training after its step, and the epoch that was best on validation pictures stays.
#
# **Before you run:** CoOp learns 16 vectors that stand where "a photo of a" stood. Which curve will say first that it learns too much by heart?

# %%
trainer = Trainer(clip, task, "coop", hyper={"steps": 60})
coop = trainer.train()
trainer

# %%
trainer.method = "taskres"
taskres = trainer.train()
print(trainer.message)

# %% [markdown]
# ## Did it help?
#
# **Before you run:** three methods, one draw of shots. Is one point of difference enough to call one of them better?

# %%
tip = pl.fit("tip_adapter", clip, task, preset="demo")
found = pl.compare([zero, coop, taskres, tip])
Compare(found, task)

# %%
best = max(found.rows, key=lambda r: r["accuracy"])
for row in found.rows:
    print(f"{row['method']:12} {100 * row['accuracy']:5.1f} %   {100 * row['gain']:+5.1f} points against zero-shot   {row['trainable']:6,} trained")
print(f"Best here, on one draw of the shots: {best['method']}.")

# %% [markdown]
# One seed says little: notebook 09 draws the shots several times. In the widget, click a row, a bar or a cell of the confusion to see
# the pictures behind the number.
#
# ## A look inside
#
# Which patches speak for the answer, before and after tuning? The *deletion score* says whether to believe the map: painting over the
# marked patches must hurt more than painting over those that a random direction marks (the control).

# %%
Lens(coop, task)

# %% [markdown]
# The same lens goes through the epochs of a training. **Before you run:** which changes first, the text of the classes or the loss?

# %%
Lens(coop, task, "residuals", frames="epochs")

# %% [markdown]
# ## Keep it
#
# A run is one file without pickle: the class names, the learned vectors, the settings and the numbers.

# %%
coop.save("animals.plab")
again = pl.open("animals.plab")
picture = test.split.source.image(test.split.rows[3])
print(again.predict(picture, k=3), "· true:", names[int(test.split.targets[3])])

# %% [markdown]
# ## Exercises
#
# **00.1** Which pictures may choose the epoch that is kept? (a) the shots, (b) the validation pictures, (c) the test pictures, (d) none: the
# training loss chooses. Write `answer = "a"` or another letter.

# %%
answer = ...
check("00.1", answer)

# %% [markdown]
# **00.2** Write the accuracy of logits `[B, C]` for targets `[B]`: `def answer(logits, target): ...`

# %%
answer = ...
check("00.2", answer)

# %% [markdown]
# **00.3** `rows` holds `(name, gain over zero-shot, spread over seeds)`. Give the names whose gain is more than seed noise.

# %%
answer = ...
check("00.3", answer)

# %% [markdown]
# `promptlab.course.solution("00.2")` shows one right answer.
#
# ## References
#
# Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, ICML 2021, arXiv:2103.00020. ·
# Zhou et al., *Learning to Prompt for Vision-Language Models*, IJCV 2022, arXiv:2109.01134. ·
# Yu et al., *Task Residual for Tuning Vision-Language Models*, CVPR 2023, arXiv:2211.10277. ·
# Zhang et al., *Tip-Adapter*, ECCV 2022, arXiv:2207.09519.
