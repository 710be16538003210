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
# # 05 · Optimal transport by hand, then PLOT
#
# **Goals.** Understand transport on a 3 × 3 example, write Sinkhorn's two lines, see what its `eps` decides, and meet a method that lets several
# prompts share the regions of a picture by it.
#
# **Minutes:** about 1 on two cores, offline.

# %%
import torch
import torch.nn.functional as F

import promptlab as pl
from promptlab.course import check
from promptlab.parts.transport import sinkhorn, uniformity
from promptlab.widgets import TransportExplorer, shown

# %% [markdown]
# ## Three regions, three prompts
#
# Every region owns a third of the mass, every prompt may take a third. `cost[m, n]` says how badly region m suits prompt n. A *plan* says how much
# goes where; its rows sum to 1/3 and its columns too. The cheapest plan pays the least `sum(plan · cost)`.

# %%
cost = torch.tensor([[0.1, 0.9, 0.8], [0.2, 0.3, 0.9], [0.3, 0.7, 0.2]])
uniform = torch.full((3, 3), 1 / 9)
by_hand = torch.eye(3) / 3  # each region to its own prompt
print(f"everything everywhere costs {(uniform * cost).sum():.3f}; each to its own costs {(by_hand * cost).sum():.3f}")
shown.heat(cost, [f"region {i + 1}" for i in range(3)], [f"prompt {i + 1}" for i in range(3)], cell=40)

# %% [markdown]
# **Before you run:** region 2 is nearer to prompt 1 (0.2) than to prompt 2 (0.3). Why does it not simply go to prompt 1?
#
# ## Sinkhorn
#
# Add a reward for entropy, `eps`, and the best plan has the form `diag(r) · exp(-cost / eps) · diag(c)`. Two lines, repeated, find r and c.

# %%
def plan_of(cost, eps, sweeps=200):
    m, n = cost.shape
    kernel = torch.exp(-cost / eps)
    c = torch.ones(n)
    for _ in range(sweeps):
        r = (1 / m) / (kernel @ c)  # now every row carries 1/m
        c = (1 / n) / (kernel.T @ r)  # now every column carries 1/n
    return r[:, None] * kernel * c


for eps in (1.0, 0.1, 0.01):
    plan = plan_of(cost, eps)
    print(f"eps {eps:<5} costs {(plan * cost).sum():.3f}, entropy {uniformity(plan):.2f} of the uniform plan's, largest entry {plan.max():.3f} (a third is 0.333)")

# %% [markdown]
# The library's version does the same for thousands of small problems at once, in logarithms where `exp(-cost / eps)` would vanish.

# %%
ours, theirs = plan_of(cost, 0.05), sinkhorn(cost[None, None], 0.05, max_iter=200, thresh=0.0).plan[0, 0]
print(f"largest difference: {float((ours - theirs).abs().max()):.1e}")
shown.heat(torch.cat([plan_of(cost, e) for e in (1.0, 0.1, 0.01)], 1), [f"region {i + 1}" for i in range(3)],
           [f"eps {e}" if i == 0 else "" for e in (1.0, 0.1, 0.01) for i in range(3)], cell=34)

# %% [markdown]
# ## A picture and several prompts
#
# PLOT (arXiv:2210.01253) learns several prompts a class. The regions of a picture (here 8 × 8 patches) are transported to the prompts with cost
# 1 − cosine, and the answer for the class is the similarity along the plan.
#
# **Before you run:** four prompts of one class start from different noise and are trained with one loss. Nothing tells them to differ. Will they?

# %%
clip = pl.load("pocket")  # or pl.load("RN50", "openai"), the paper's
task = pl.open_data("world:animals@pixel-art", shots=4)
zero = pl.fit("zero_shot", clip, task)
plot = pl.fit("plot", clip, task, preset="demo", steps=60)
coop = pl.fit("coop", clip, task, preset="demo", steps=60, n_ctx=4)
shown.bars({"zero-shot": zero.report.headline, "CoOp, one prompt": coop.report.headline, "PLOT, four prompts": plot.report.headline})

# %%
best = max((zero, coop, plot), key=lambda r: r.report.headline)
print(f"Best here (4 shots, 60 steps, one seed): {best.key}, {100 * best.report.headline:.1f} %. A single seed decides nothing; see notebook 09.")
with torch.no_grad():
    text = plot.method.bank().text  # [N prompts, C, E], unit length
same = torch.einsum("nce,mce->nmc", text, text).mean(-1)
off = same[~torch.eye(len(same), dtype=torch.bool)]
print(f"mean cosine between two prompts of a class: {off.mean():.2f} (1 would mean that they are all alike)")

# %%
test = task.draw(1)[1][0]
picture = next(test.split.take([40]).batches(1))
found = pl.inspect.transport(plot, picture)
shown.exhibit(found)

# %%
for check_of in found.sanity:
    print(check_of)
sharp = pl.inspect.transport(plot, picture, eps=0.01)
print(f"with eps=0.01 instead of {found.settings['eps']}: relative entropy {sharp.sanity[1].value:.3f} instead of {found.sanity[1].value:.3f}")

# %% [markdown]
# ## Explore it
#
# Point at a region to see its row of the plan. Move `eps`: what do the maps look like at the largest and at the smallest value?

# %%
TransportExplorer(plot, task)

# %% [markdown]
# `eps`, the number of sweeps and the threshold are *live* knobs: they may change after the fit. They may be chosen on validation pictures.

# %%
curve = pl.inspect.live(plot, "eps", task.draw(1)[0].val, [0.02, 0.05, 0.1, 0.3, 1.0])
values, accuracy = curve.arrays["value"], curve.arrays["accuracy"]
print(f"best on validation: eps={values[accuracy.argmax()]:g} with {100 * accuracy.max():.1f} %; between {100 * accuracy.min():.1f} and {100 * accuracy.max():.1f} % over all values")
shown.lines({"validation": (values, accuracy)}, "eps", "accuracy")

# %% [markdown]
# ## Exercises
#
# **05.1** `def answer(kernel, c)`: one sweep of Sinkhorn for a kernel `[M, N]` and column scalings `[N]`; return the new `r` `[M]` and `c` `[N]`.

# %%
answer = ...
check("05.1", answer)

# %% [markdown]
# **05.2** `def answer(plan, cost)`: what a plan costs.

# %%
answer = ...
check("05.2", answer)

# %% [markdown]
# **05.3** What does a very large `eps` do? (a) each region goes to one prompt only, (b) the plan becomes uniform, (c) the marginals are lost,
# (d) fewer sweeps are needed and nothing else.

# %%
answer = ...
check("05.3", answer)

# %% [markdown]
# ## References
#
# Chen et al., *PLOT: Prompt Learning with Optimal Transport*, ICLR 2023, arXiv:2210.01253. · Cuturi, *Sinkhorn Distances*, NeurIPS 2013,
# arXiv:1306.0895. · The tests compare the transport here with the POT library.
