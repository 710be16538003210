"""Pretraining of `pocket` on the picture world: contrastive, with masked patches, extra captions, Muon, and averaged weights.

    python -m promptlab.pretrain --out runs/pocket --minutes 90

The run goes on from its checkpoint when started again with the same folder. Nothing is pickled.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from promptlab.backbones.pocket import SIDE, PocketTokenizer, encode_short, normalise, pocket_model
from promptlab.world.atlas import Atlas, load_atlas
from promptlab.world.draw import draw
from promptlab.world.report import quick_zero_shot
from promptlab.world.sampler import plan_batch
from promptlab.world.scene import SEEN_STYLES, UNSEEN_STYLES, Plan

Event = dict[str, object]


@dataclass
class Settings:
    """One run. `patches` is the share of patches dropped until `full_from` of the run (all are used after); `rate` the peak learning rate
    of both optimisers (Muon's update is scaled to the size of AdamW's)."""

    batch: int = 192
    rate: float = 2e-3
    decay: float = 0.05
    warmup: int = 200
    floor: float = 0.01
    patches: float = 0.5
    full_from: float = 0.84
    average: float = 0.998
    names: int = 48
    false: int = 32
    max_scale: float = 100.0
    seed: int = 0

    @classmethod
    def on(cls, device: str, seed: int) -> "Settings":
        """What suits a device: a GPU waits for launches and not for sums, so there the batch is large and no patch is dropped."""
        return cls(batch=512, patches=0.0, false=64, average=0.999, seed=seed) if device == "cuda" else cls(seed=seed)


@dataclass
class State:
    """Where a run stands; `seconds` counts training time over all restarts."""

    step: int = 0
    seconds: float = 0.0
    pictures: int = 0
    settings: Settings = field(default_factory=Settings)


@dataclass
class Batch:
    """A plan of B pictures and the tokens [N, L] of the captions, short and long apart, so that few positions are padding; row i of the
    texts is row `back[i]` of the parts one after the other."""

    plan: Plan
    tokens: list[Tensor]
    back: Tensor


class Feed(Dataset):
    """Batches of a run by step number; all that the processor has to do for them, so that other processes can do it."""

    def __init__(self, settings: Settings, atlas: Atlas) -> None:
        self.settings, self.atlas, self.tokenizer = settings, atlas, PocketTokenizer()

    def __getitem__(self, step: int) -> Batch:
        s = self.settings
        plan, captions, distractors = plan_batch(self.atlas, s.batch, s.seed, step, names=s.names, false=s.false)
        texts = captions + distractors
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts = [order[:len(order) // 2], order[len(order) // 2:]]
        return Batch(plan, [self.tokenizer.short([texts[i] for i in part]) for part in parts], torch.tensor(order).argsort())

    def after(self, step: int, device: torch.device) -> DataLoader:
        """The batches from number `step` on; beside a GPU made ahead by processes of their own."""
        workers = min(8, (os.cpu_count() or 2) - 1) if device.type == "cuda" else 0
        return DataLoader(self, batch_size=None, sampler=range(step, sys.maxsize), num_workers=workers, collate_fn=lambda batch: batch)


class Trainer:
    """Model, averaged copy, two optimisers and the position in the run."""

    def __init__(self, settings: Settings, device: torch.device, atlas: Atlas) -> None:
        torch.manual_seed(settings.seed)
        self.state, self.device, self.atlas = State(settings=settings), device, atlas
        self.sprites = replace(atlas, art=atlas.art.to(device))
        self.tokenizer = PocketTokenizer()
        self.model = pocket_model(settings.patches).to(device).train()
        self.mean = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        matrices, vectors = [], []
        for name, p in self.model.named_parameters():
            (matrices if p.ndim == 2 and ".resblocks." in name else vectors).append((name, p))
        self.names = {id(p): name for name, p in matrices + vectors}
        self.optimisers = [
            torch.optim.Muon([p for _, p in matrices], lr=settings.rate, weight_decay=settings.decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW([p for _, p in vectors], lr=settings.rate, weight_decay=0.0, betas=(0.9, 0.98)),
        ]

    def set_rate(self, done: float) -> None:
        """Cosine from the peak to the floor over the run, after a short warm-up."""
        s = self.state.settings
        share = s.floor + (1 - s.floor) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        rate = s.rate * share * min(1.0, (self.state.step + 1) / s.warmup)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        self.model.visual.patch_dropout.prob = s.patches if done < s.full_from else 0.0

    def texts(self, batch: Batch) -> Tensor:
        """Unit text features [N, E] of a batch."""
        out = torch.cat([encode_short(self.model, tokens.to(self.device)) for tokens in batch.tokens])
        return F.normalize(out.float(), dim=-1)[batch.back.to(self.device)]

    def step(self, batch: Batch, done: float) -> dict[str, Tensor]:
        """One batch: pictures against their captions and the false ones, captions against the pictures."""
        s, state = self.state.settings, self.state
        torch.manual_seed(s.seed * 7919 + state.step)  # patch dropout; so a resumed run repeats it
        pixels, _ = draw(batch.plan.to(self.device), self.sprites, SIDE, truth=False)
        self.set_rate(done)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):  # slower than float32 on CPUs at this width
            images = F.normalize(self.model.visual(normalise(pixels)).float(), dim=-1)
            texts = self.texts(batch)
        logits = self.model.logit_scale.exp() * images @ texts.T
        target = torch.arange(s.batch, device=self.device)
        loss = 0.5 * F.cross_entropy(logits, target) + 0.5 * F.cross_entropy(logits[:, :s.batch].T, target)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(s.max_scale))
        self._average()
        state.step, state.pictures = state.step + 1, state.pictures + s.batch
        return {"loss": loss.detach(), "accuracy": (logits.argmax(1) == target).float().mean()}

    def _average(self) -> None:
        """Moving average of the weights, with a shorter memory at the start."""
        keep = min(self.state.settings.average, (1 + self.state.step) / (10 + self.state.step))
        new = self.model.state_dict()
        torch._foreach_lerp_(list(self.mean.values()), [new[k] for k in self.mean], 1 - keep)

    def averaged(self) -> nn.Module:
        """A model with the averaged weights, for evaluation."""
        model = pocket_model().to(self.device)
        model.load_state_dict(self.mean)
        return model.eval()

    def words(self) -> Callable[[list[str]], Tensor]:
        """The averaged text tower as a function of strings, without padding to 77 positions."""
        model = self.averaged()
        return lambda texts: encode_short(model, self.tokenizer.short(texts).to(self.device))

    def tensors(self) -> dict[str, Tensor]:
        """Everything to save, flat: `model.`, `mean.` and `optim.<state>.<parameter>`."""
        out = {f"model.{k}": v for k, v in self.model.state_dict().items()} | {f"mean.{k}": v for k, v in self.mean.items()}
        for optimiser in self.optimisers:
            for p, values in optimiser.state.items():
                out |= {f"optim.{key}.{self.names[id(p)]}": v for key, v in values.items() if isinstance(v, Tensor)}
        return {k: v.detach().cpu().contiguous().clone() for k, v in out.items()}

    def save(self, folder: Path) -> None:
        """Checkpoint, written beside and moved into place, so a kill leaves the old or the new one."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.tensors(), str(folder / "next.safetensors"), metadata={"state": json.dumps(asdict(self.state))})
        os.replace(folder / "next.safetensors", folder / "checkpoint.safetensors")

    def restore(self, folder: Path) -> None:
        """Go on from a checkpoint."""
        path = str(folder / "checkpoint.safetensors")
        with safe_open(path, "pt") as file:
            saved = json.loads(file.metadata()["state"])
        self.state = State(saved["step"], saved["seconds"], saved["pictures"], Settings(**saved["settings"]))
        tensors = {k: v.to(self.device) for k, v in load_file(path).items()}
        self.model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        self.mean = {k[5:]: v for k, v in tensors.items() if k.startswith("mean.")}
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                for p in group["params"]:
                    tail = "." + self.names[id(p)]
                    found = {k[6:-len(tail)]: v for k, v in tensors.items() if k.startswith("optim.") and k.endswith(tail)}
                    optimiser.state[p] = {k: (v.cpu() if k == "step" else v) for k, v in found.items() if "." not in k}


def _hardware(device: torch.device) -> str:
    """What the page of figures calls the device."""
    return f"one {torch.cuda.get_device_name(device)}" if device.type == "cuda" else f"{torch.get_num_threads()} threads of a processor"


def export(trainer: Trainer, path: Path) -> None:
    """The averaged weights in half precision, with what a reader must know in the metadata."""
    atlas, state = trainer.atlas, trainer.state
    about = {"pictures": state.pictures, "steps": state.step, "minutes": round(state.seconds / 60, 1), "device": _hardware(trainer.device),
             "settings": asdict(state.settings),
             "seen_styles": SEEN_STYLES, "unseen_styles": UNSEEN_STYLES, "held_out_names": [atlas.names[i] for i in atlas.unseen]}
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {k: v.detach().cpu().half().contiguous() for k, v in trainer.mean.items()}
    save_file(half, str(path) + ".part", metadata={k: json.dumps(v) for k, v in about.items()})
    os.replace(str(path) + ".part", path)


def pretrain(out: Path, *, minutes: float | None = None, steps: int | None = None, device: str = "auto", resume: bool = True,
             seed: int = 0, every: int = 50, save_minutes: float = 3.0, look_minutes: float = 10.0, look_at_end: bool = True,
             settings: Settings | None = None) -> Iterator[Event]:
    """Train for `minutes` of training time (the schedule follows the clock) or exactly `steps` (the schedule follows the step, and the
    same seed gives the same numbers). Yields events: {"kind": "step" | "zero_shot" | "saved", ...}; weights go to
    out/pocket.safetensors."""
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    trainer = Trainer(settings or Settings.on(kind, seed), torch.device(kind), load_atlas())
    if resume and (out / "checkpoint.safetensors").is_file():
        trainer.restore(out)
    state, mark = trainer.state, time.monotonic()
    saved = looked = state.seconds
    share = (lambda: state.step / steps) if steps else (lambda: state.seconds / (60 * (minutes or 60)))
    for batch in Feed(state.settings, trainer.atlas).after(state.step, trainer.device):
        if share() >= 1:
            break
        numbers = trainer.step(batch, share())
        now = time.monotonic()
        state.seconds, mark = state.seconds + now - mark, now
        if state.step % every == 0:
            yield {"kind": "step", "step": state.step, "done": round(share(), 4), "pictures": state.pictures,
                   "per_second": round(state.pictures / state.seconds, 1), **{k: round(v.item(), 4) for k, v in numbers.items()}}
        if state.seconds - saved > 60 * save_minutes or share() >= 1:
            saved = state.seconds
            trainer.save(out)
            export(trainer, out / "pocket.safetensors")
            yield {"kind": "saved", "path": str(out / "pocket.safetensors"), "step": state.step}
        if state.seconds - looked > 60 * look_minutes or (look_at_end and share() >= 1):
            looked = state.seconds
            yield {"kind": "zero_shot", "step": state.step, **quick_zero_shot(trainer.averaged(), trainer.words(), trainer.atlas)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Pretrain the pocket backbone on the picture world.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    for event in pretrain(args.out, minutes=args.minutes, steps=args.steps, device=args.device, seed=args.seed):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
