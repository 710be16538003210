"""Losses of the methods: pure functions of tensors. B image, C class, V view, E joint."""

import torch
import torch.nn.functional as F
from torch import Tensor

UNKNOWN = -1  # a multi-label target that nobody annotated


def cross_entropy(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of logits [B, C, ...] with class ids [B, ...]; entries equal to -1 are left out, 0 if all are."""
    total = F.cross_entropy(logits.float(), target, ignore_index=UNKNOWN, label_smoothing=smoothing, reduction="sum")
    return total / (target != UNKNOWN).sum().clamp(min=1)


def soft_cross_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Mean of -sum_c q_c log softmax(logits)_c for target distributions q [B, C]."""
    return -(probabilities * logits.float().log_softmax(-1)).sum(-1).mean()


def kl(logits: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher || student) of two logit matrices [B, C], both divided by the temperature, mean over images."""
    student = (logits.float() / temperature).log_softmax(-1)
    return F.kl_div(student, (teacher.float() / temperature).log_softmax(-1), reduction="batchmean", log_target=True)


def known_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy with logits [B, C], mean over the labels that are known (target 1 or 0, not -1)."""
    known = (target != UNKNOWN).to(logits.dtype)
    # where, not indexing: the graph keeps its shape, and unknown labels get a gradient of exactly 0
    each = F.binary_cross_entropy_with_logits(logits.float(), target.clamp(min=0).float(), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def asymmetric(logits: Tensor, target: Tensor, gamma_pos: float = 1.0, gamma_neg: float = 2.0, clip: float = 0.05,
               eps: float = 1e-6) -> Tensor:
    """Asymmetric loss of DualCoOp (``utils/asymmetric_loss.py``), summed over the known labels of the batch.

    ``logits`` [B, C] = positive minus negative, whose sigmoid p is the softmax over the pair, or both as [B, 2, C]
    (negative first). ``target`` [B, C] in {1, 0, -1}; -1 is dropped.
    q = min(1 - p + clip, 1); L = -sum[y (1-p)^gamma_pos log max(p, eps) + (1-y) (1-q)^gamma_neg log max(q, eps)],
    where the focusing weights (1-p)^gamma carry no gradient.
    """
    p = logits.float().softmax(1)[:, 1] if logits.ndim == 3 else logits.float().sigmoid()
    q = (1 - p + clip).clamp(max=1)
    positive, negative = (target == 1).to(p.dtype), (target == 0).to(p.dtype)
    weight_pos, weight_neg = (1 - p).detach() ** gamma_pos, (1 - q).detach() ** gamma_neg
    return -(positive * weight_pos * p.clamp(min=eps).log() + negative * weight_neg * q.clamp(min=eps).log()).sum()


def pairwise_ranking(logits: Tensor, target: Tensor, margin: float = 1.0) -> Tensor:
    """Mean over images of the sum over (present p, absent n) of max(0, margin - l_p + l_n), logits and target [B, C]; -1 is left out.

    Source: TaI-DPT, arXiv:2211.12739 (``trainers/utils.py``), not divided by the number of pairs.
    """
    pairs = (target == 1)[:, :, None] & (target == 0)[:, None, :]
    gap = margin - logits.float()[:, :, None] + logits.float()[:, None, :]
    return (gap.clamp(min=0) * pairs).sum((1, 2)).mean()


def two_way_transport(cost: Tensor, logits: Tensor) -> Tensor:
    """POUF's L_T of cost and logits [B, C]: each picture's mean cost under its softmax over classes, plus each class's under its
    softmax over the batch (arXiv:2305.00350)."""
    return (cost * logits.softmax(1)).sum(1).mean() + (cost * logits.softmax(0)).sum(0).mean()


def information(logits: Tensor) -> Tensor:
    """Mean entropy of the rows of [B, C] minus the entropy of their mean: -log C when answers are sure and balanced (POUF: eps 1e-5
    and 1e-6 inside the logarithms)."""
    p = logits.float().softmax(1)
    mean = p.mean(0)
    return -(p * (p + 1e-5).log()).sum(1).mean() + (mean * (mean + 1e-6).log()).sum()


def entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits) along the last axis: [V, C] → [V]."""
    log_p = logits.float().log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def marginal_entropy(logits: Tensor) -> Tensor:
    """Entropy of the mean probability over views [V, C] → scalar, in log space (TPT, ``avg_entropy``)."""
    log_p = logits.float().log_softmax(-1)
    mean = torch.logsumexp(log_p, 0) - torch.tensor(float(len(logits))).log()
    mean = mean.clamp(min=torch.finfo(mean.dtype).min)  # a class that no view believes in: 0 · -inf would be nan
    return -(mean.exp() * mean).sum()


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - mean cosine of the rows of [..., E] and [..., E] (KgCoOp's pull towards the hand-written prompts)."""
    return 1 - F.cosine_similarity(a.float(), b.float(), dim=-1).mean()
