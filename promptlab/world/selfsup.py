"""How ``assets/world_ssl.safetensors`` was made: SimCLR on pictures of the world without their labels.

    python -m promptlab.world.selfsup out.safetensors
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from promptlab.files import write_tensors
from promptlab.parts.selfsup import SmallEncoder, contrast, projector
from promptlab.world.scene import STYLES
from promptlab.world.tasks import task_spec

TASKS, EACH, BATCH, STEPS = ("animals", "food", "vehicles", "faces"), 400, 128, 900
STOP = 550  # the shipped weights are those after this step: an encoder for colours and patterns, weak at telling animals apart


def pictures(tasks: tuple[str, ...] = TASKS, styles: tuple[str, ...] = tuple(STYLES), each: int = EACH, seed: int = 0) -> Tensor:
    """uint8 [n, 3, 64, 64]: ``each`` training pictures of every task and style, no labels."""
    rng, found = torch.Generator().manual_seed(seed), []
    for name in tasks:
        for style in styles:
            task = task_spec(f"{name}@{style}")
            index = torch.randperm(task.count("train"), generator=rng)[:each].tolist()
            found += [task.render("train", index[i : i + 200], SmallEncoder.size).pixels for i in range(0, len(index), 200)]
    return torch.cat(found)


Step = tuple[int, float, SmallEncoder]


def learn(x: Tensor, steps: int = STEPS, size: int = BATCH, lr: float = 2e-3, seed: int = 2001) -> Iterator[Step]:
    """SimCLR at temperature 0.2 with AdamW and a one-cycle rate: (step, loss, encoder) after each step."""
    torch.manual_seed(seed)
    encoder, head, rng = SmallEncoder(), projector(SmallEncoder.features), torch.Generator().manual_seed(seed)
    params = [*encoder.parameters(), *head.parameters()]
    opt = torch.optim.AdamW(params, lr, weight_decay=1e-4)
    rate = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=steps, pct_start=0.05)
    order = torch.empty(0, dtype=torch.long)
    for i in range(steps):
        if len(order) < size:
            order = torch.randperm(len(x), generator=rng)
        index, order = order[:size], order[size:]
        loss = contrast(encoder, head, x[index].float() / 255, rng, 0.2)
        opt.zero_grad()
        loss.backward()
        opt.step(), rate.step()
        yield i + 1, float(loss.detach()), encoder


if __name__ == "__main__":
    out = Path(sys.argv[1])
    for step, loss, encoder in learn(pictures()):
        if step % 50 == 0:
            write_tensors(out, {k: v.half().contiguous() for k, v in encoder.state_dict().items()})
            sys.stderr.write(f"step {step}: loss {loss:.3f}\n")
        if step == STOP:
            break
