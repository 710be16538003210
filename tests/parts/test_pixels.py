"""Pixel prompts: where every tensor lands, and that nothing else of the picture moves."""

import pytest
import torch

from promptlab.errors import BadHyper
from promptlab.parts.pixels import Frame, Patch
from tests.golden import fill, small


def test_frame_puts_each_tensor_in_its_place() -> None:
    frame = Frame(20, 3)
    whole = frame()[0]
    assert torch.equal(whole[:, :3], frame.pad_up[0]) and torch.equal(whole[:, -3:], frame.pad_down[0])
    assert torch.equal(whole[:, 3:-3, :3], frame.pad_left[0]) and torch.equal(whole[:, 3:-3, -3:], frame.pad_right[0])
    assert not whole[:, 3:-3, 3:-3].any()


@pytest.mark.parametrize("size,width,count", [(224, 30, 69_840), (64, 9, 3 * (64**2 - 46**2)), (8, 4, 192)])
def test_frame_counts_its_border(size: int, width: int, count: int) -> None:
    assert sum(p.numel() for p in Frame(size, width).parameters()) == count


def test_too_large_prompts_are_refused() -> None:
    with pytest.raises(BadHyper, match="at most 10"):
        Frame(20, 11)
    with pytest.raises(BadHyper, match="at most 20"):
        Patch(20, 21)


@pytest.mark.parametrize("prompt", [Frame(64, 8, "zeros"), Patch(64, 8, "zeros"), Patch(64, 8, "zeros", wander=True)])
def test_zero_prompt_changes_no_bit(prompt: torch.nn.Module) -> None:
    _, clip = small.pair("vit")
    x = fill.images(3, 64, 1)
    assert torch.equal(clip.encode_image(x, prompt.edits()).pooled, clip.encode_image(x).pooled)


def test_gradient_stays_in_the_border_and_passes_the_pixels() -> None:
    _, clip = small.pair("vit")
    frame, x = Frame(64, 8), fill.images(2, 64, 2).requires_grad_()
    clip.encode_image(x, frame.edits()).pooled.square().sum().backward()
    border = x.grad.sum(0)  # the prompt is added to all pictures, so its gradient is the sum of theirs
    torch.testing.assert_close(frame.pad_up.grad[0], border[:, :8])
    torch.testing.assert_close(frame.pad_left.grad[0], border[:, 8:-8, :8])
    assert all(p.grad.abs().sum() > 0 for p in frame.parameters())


def test_patch_corner_place_and_wandering() -> None:
    corner, fixed, moving = Patch(16, 5), Patch(16, 5), Patch(16, 5, wander=True)
    assert torch.equal(corner()[0, :, :5, :5], corner.patch[0]) and corner().count_nonzero() == corner.patch.count_nonzero()
    fixed.place = (9, 2)
    assert torch.equal(fixed()[0, :, 9:14, 2:7], fixed.patch[0]) and not fixed()[0, :, :9].any()
    torch.manual_seed(0)
    places = {tuple(torch.nonzero(moving()[0, 0])[0].tolist()) for _ in range(2000)}
    assert {r for r, _ in places} == {c for _, c in places} == set(range(11))  # 16 - 5 = 11 places: the very last is never used
