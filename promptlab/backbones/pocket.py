"""`pocket`: a CLIP of 5.4 M parameters with ordinary open_clip classes, and its tokenizer (CLIP's byte pairs, first 4,000 merges)."""

import json
from pathlib import Path

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors import safe_open
from torch import Tensor

from promptlab.assets import asset
from promptlab.errors import BadData

MERGES = 4_000
SIDE = 64
POCKET_MEAN = (0.5, 0.5, 0.5)
POCKET_STD = (0.25, 0.25, 0.25)
WEIGHTS = "pocket.safetensors"
CONFIG = {
    "embed_dim": 192,
    "vision_cfg": {"image_size": SIDE, "patch_size": 8, "width": 192, "layers": 6, "head_width": 32, "mlp_ratio": 4.0},
    "text_cfg": {"context_length": 77, "vocab_size": 512 + MERGES + 2, "width": 192, "heads": 6, "layers": 4},
}


class PocketTokenizer(SimpleTokenizer):
    """CLIP's tokenizer with its first 4,000 merges: any word still has tokens, only more of them.

    Start and end of text are the last two ids, so the end is the largest id of a row, as CLIP's pooling expects.
    """

    def __init__(self, context_length: int = 77) -> None:
        super().__init__(context_length=context_length)
        pieces = sorted(self.encoder, key=self.encoder.__getitem__)
        specials = pieces[-2:]
        vocab = pieces[:512 + MERGES] + specials
        self.encoder = {piece: i for i, piece in enumerate(vocab)}
        self.decoder = dict(enumerate(vocab))
        self.bpe_ranks = {pair: rank for pair, rank in self.bpe_ranks.items() if rank < MERGES}
        self.cache = {piece: piece for piece in specials}
        self.vocab_size = len(vocab)
        self.all_special_ids = [self.encoder[piece] for piece in specials]
        self.sot_token_id, self.eot_token_id = self.all_special_ids
        self._words: dict[str, list[int]] = {}

    def short(self, texts: list[str]) -> Tensor:
        """Tokens [N, L], L the longest text: for training, where 77 positions would be mostly padding. Plain lower-case words only."""
        rows = [[self.sot_token_id, *(i for word in text.split() for i in self._word(word)), self.eot_token_id] for text in texts]
        out = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for i, row in enumerate(rows):
            out[i, :len(row)] = torch.tensor(row)
        return out

    def _word(self, word: str) -> list[int]:
        if word not in self._words:
            self._words[word] = self.encode(word)
        return self._words[word]


def pocket_model(drop_patches: float = 0.0) -> open_clip.CLIP:
    """The model with random weights (seed it with torch.manual_seed). ``drop_patches``: share of patches left out in training mode."""
    return open_clip.CLIP(**{**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], "patch_dropout": drop_patches}})


def encode_short(model: open_clip.CLIP, tokens: Tensor) -> Tensor:
    """Text features [N, E] (not normalised) of tokens [N, L] with L below 77: the causal mask makes the missing positions irrelevant."""
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = x[torch.arange(len(x), device=x.device), tokens.argmax(1)]
    return model.ln_final(x) @ model.text_projection


def normalise(pixels: Tensor) -> Tensor:
    """uint8 pictures [B, 3, S, S] as the towers take them."""
    mean, std = (torch.tensor(v, device=pixels.device)[:, None, None] for v in (POCKET_MEAN, POCKET_STD))
    return (pixels.float() / 255 - mean) / std


def pocket_metadata(path: Path | None = None) -> dict[str, object]:
    """What the weights say of themselves: pictures seen, held-out names, unseen styles, date."""
    with safe_open(str(path or asset(WEIGHTS)), "pt") as file:
        return {key: json.loads(value) for key, value in (file.metadata() or {}).items() if key != "format"}


def load_pocket(path: Path | str | None = None) -> open_clip.CLIP:
    """The trained model in evaluation mode and float32, from the shipped weights or a safetensors file."""
    file = Path(path) if path is not None else asset(WEIGHTS)
    if not file.is_file():
        raise BadData(f"No pocket weights at {file}; give a safetensors file or run `promptlab pretrain`.")
    with safe_open(str(file), "pt") as opened:
        state = {key: opened.get_tensor(key).float() for key in opened.keys()}
    model = pocket_model()
    model.load_state_dict(state)
    return model.eval()
