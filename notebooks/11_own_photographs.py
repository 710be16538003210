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
# # 11 · Your own photographs
#
# **Goals.** Go from a folder of pictures to a model that you can take away: gather and label, look at what the shot doctor says, train, judge honestly on few
# pictures, export.
#
# **Minutes:** about 1 on two cores, offline.
#
# On your own machine set `FOLDER` to a folder that holds one folder of pictures for each class. Here we draw one, with the flaws that real folders have.

# %%
from pathlib import Path

import promptlab as pl
from promptlab.course import check
from promptlab.widgets import Compare, Lens, Shots, shown

FOLDER = None  # e.g. "/home/me/pictures/plants"

# %%
if FOLDER is None:
    FOLDER, world = Path("my_pictures"), pl.open_data("world:animals@night").data
    for label in range(6):
        place = FOLDER / world.classes.names[label]
        place.mkdir(parents=True, exist_ok=True)
        rows = [r for r, t in zip(world.train.rows, world.train.targets.tolist()) if t == label][:12]
        for i, row in enumerate(rows):
            world.train.source.image(row).save(place / f"IMG_{i:03}.png")
    broken = FOLDER / world.classes.names[0] / "IMG_900.png"
    broken.write_bytes(b"this is no picture")
    twin = FOLDER / world.classes.names[1] / "IMG_000.png"
    (FOLDER / world.classes.names[2] / "copy.png").write_bytes(twin.read_bytes())
sorted(p.name for p in Path(FOLDER).iterdir())

# %% [markdown]
# ## Gather
#
# **Before you run:** two flaws were put into the folder. Which ones can a program find without knowing what is on the pictures?

# %%
own = Shots(FOLDER, shots=4)
print(*own.problems, *own.doctor(), sep="\n")
own

# %% [markdown]
# Click a picture and press a button to remove or move it; write a class name and add files to make a new class. Pictures that you upload stay on this machine,
# and are not saved inside the notebook. From code the same goes with `own.add("cat", [paths])`, `own.move`, `own.remove`, `own.rename`.

# %%
for name, place in [(n, i) for n, pictures in own.classes.items() for i, p in enumerate(pictures) if p.name.endswith("copy.png")]:
    own.remove(name, place)
print("left to mend:", own.doctor() or "nothing")

# %% [markdown]
# ## What CLIP knows already
#
# The names are the folders' names. A test part was set aside: no fit sees it. Among your names, too, may be words that the model never read, as "raccoon" is for
# `pocket` (notebook 01): there zero-shot can only guess.

# %%
clip = pl.load("pocket")  # photographs want a real model: pl.load("ViT-B-32", "openai")
task = own.task
episode, (test,) = task.draw(seed=1)
zero = pl.fit("zero_shot", clip, task)
n = zero.report.protocol["pictures"]
noise = (zero.report.headline * (1 - zero.report.headline) / n) ** 0.5
print(f"{len(episode.support)} shots, {len(episode.val)} to choose with, {n} to judge with")
print(f"zero-shot {100 * zero.report.headline:.0f} % ± {100 * noise:.0f} (standard error of {n} pictures)")

# %% [markdown]
# ## Train, and judge with few pictures
#
# **Before you run:** with so few test pictures, how large must a gain be before you believe it?

# %%
tip = pl.fit("tip_adapter", clip, task, preset="demo")
taskres = pl.fit("taskres", clip, task, preset="demo", steps=60)
for run in (tip, taskres):
    gain = pl.inspect.gain(run.report, zero.report, episode.task.classes.names).sanity[0]
    said = "more than two standard errors" if abs(gain.value) > 2 * gain.control else "too little to tell from chance"
    print(f"{run.key:12} {100 * run.report.headline:.0f} %: {100 * gain.value:+.0f} points, standard error {100 * gain.control:.0f}: {said}")
Compare([zero, tip, taskres], task)

# %% [markdown]
# Look at single pictures before you trust a number:

# %%
Lens(taskres, test, "evidence")

# %% [markdown]
# ## Take it away
#
# `.plab` is one file without pickle. A new picture needs two lines.

# %%
best = max((tip, taskres), key=lambda r: r.report.headline)
best.save("mine.plab")
model = pl.open("mine.plab")
image = test.split.source.image(test.split.rows[0])
answer_of = model.predict(image, k=3)
print({k: round(v, 3) for k, v in answer_of.items()}, "· true:", episode.task.classes.names[int(test.split.targets[0])])
print(f"mine.plab: {Path('mine.plab').stat().st_size / 1024:.0f} kB")

# %% [markdown]
# ## Exercises
#
# **11.1** `def answer(labels, shots)`: positions `(train, test)`: the first `shots` pictures of every class to learn from, all others to judge with.

# %%
answer = ...
check("11.1", answer)

# %% [markdown]
# **11.2** The same photograph is among the shots and among the test pictures. What goes wrong? (a) the accuracy is too high: the answer was seen, (b) the loss
# becomes negative, (c) the accuracy is too low, (d) the template reads it twice.

# %%
answer = ...
check("11.2", answer)

# %% [markdown]
# **11.3** `def answer(p, n)`: the standard error of an accuracy p measured on n pictures.

# %%
answer = ...
check("11.3", answer)

# %% [markdown]
# ## References
#
# Teachable Machine (Carney et al., CHI 2020) is the model for gathering shots. · Recht et al., *Do ImageNet Classifiers Generalize to ImageNet?*, ICML 2019,
# arXiv:1902.10811, on what a test set can tell.
