"""AutoPGD against its rule written out for one sample, and on a curve where each restart can be followed."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from attack_cases import BITS, METHODS, Gated, batch_for, images, perturbed
from torch import Tensor, nn

from lgm_bench.attacks import AutoPGD


def written_out(victim: nn.Module, method, image: Tensor, label: Tensor, sign: int, steps: int) -> tuple[Tensor, int]:
    """One sample, eps 12, step 3, in [0, 1]: where it ends, and how often it restarted."""
    low, high = (image - 12 / 255).clamp(min=0), (image + 12 / 255).clamp(max=1)
    x, size, restarts, values, anchor = image, 3 / 255, 0, [], image
    for _ in range(steps):
        x = x.detach().requires_grad_()
        with method.applied_to(victim):
            loss = sign * F.cross_entropy(victim(x[None]), label[None])
        (gradient,) = torch.autograd.grad(loss, x)
        x = x.detach()
        values.append(loss.item())
        rises = 1 + sum(later > earlier for earlier, later in pairwise(values))
        stale = sum(value <= max(values[:number]) for number, value in enumerate(values) if number)
        if stale == 3 or rises / len(values) < 0.75:
            x, size, values, restarts = anchor, size / 2, [], restarts + 1
            continue
        moved = x + 0.75 * (torch.minimum(torch.maximum(x + size * gradient.sign(), low), high) - x)
        if len(values) == 1 or values[-1] > values[-2]:
            anchor = moved
        x = moved
    return x, restarts


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("targeted", [False, True])
def test_the_rule_written_out(method, targeted: bool) -> None:
    victim = Gated(seed=1)
    batch = batch_for(victim, images(6))
    target = (batch.labels + 1) % 5 if targeted else None
    ours = perturbed(AutoPGD(12 * BITS, step=3 * BITS, steps=24), victim, batch, method, target)
    classes, sign = (batch.labels, 1) if target is None else (target, -1)
    restarts = []
    for row in range(6):
        expected, count = written_out(victim, method, batch.images[row], classes[row], sign, 24)
        assert torch.allclose(ours[row], expected, rtol=0, atol=1e-12)
        restarts.append(count)
    assert len(set(restarts)) >= 2, "samples must restart, and at times of their own"


class Valley(nn.Module):
    """Two classes of one pixel: class 0's cross-entropy is highest where the pixel is `top`."""

    def __init__(self, top: float) -> None:
        super().__init__()
        self.top = top
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        height = -((x.flatten(1).mean(dim=1) - self.top) ** 2)
        return torch.stack([-height, height], dim=1)


def test_it_closes_in_on_a_peak_by_halving() -> None:
    image = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)
    batch = batch_for(Valley(0.0), image)._replace(labels=torch.zeros(1, dtype=torch.int64))
    ends = [
        float(perturbed(AutoPGD(20 * BITS, step=4 * BITS, steps=steps), Valley(0.5 + 7.3 / 255), batch) - image) * 255
        for steps in range(1, 40)
    ]
    assert ends[:3] == pytest.approx([3, 6, 9])  # 0.75 of the step
    assert abs(ends[-1] - 7.3) < 0.05
    moves = [abs(b - a) for a, b in pairwise(ends)]
    sizes = {round(math.log2(3 / move), 6) for move in moves if move > 1e-9}
    assert sizes >= {0.0, 1.0, 2.0, 3.0}, "3 and its halves"
