"""Signs of gradient masking: found on networks that mask, and not on one that does not."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench import FGM, LGM, Occupancy
from lgm_bench.attacks import BIM, FGSM
from lgm_bench.evaluation.engine.preflight import NO_DERIVATIVE, OF, Masking, masking, preflight
from lgm_bench.tasks.tensors import Images

N = 8


class Scaled(torch.autograd.Function):
    """Passes its input on, and the gradient multiplied by a number."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * gradient, None


class Net(nn.Module):
    """Tells bright from dark images; its gradient is multiplied by `factor`."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        bright = 8 * (Scaled.apply(x, self.factor).mean((1, 2, 3)) - 0.5)
        return torch.stack([-bright, bright], 1)


class Gated(nn.Module):
    """Two units: one decides by the brightness, one always the same."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.ModuleList([Occupancy(), Occupancy()])

    def forward(self, x: Tensor) -> Tensor:
        brightness = x.mean((1, 2, 3)) - 0.5
        on = self.units[0](brightness) + self.units[1](torch.ones_like(brightness))
        return torch.stack([-on * brightness, on * brightness], 1)


@pytest.fixture
def batch() -> ImageBatch:
    light = torch.linspace(0.3, 0.7, N)[:, None, None, None]
    images = light.expand(N, 3, 4, 4).clone()
    return ImageBatch(images, (light.flatten() > 0.5).long(), [f"test-{i}" for i in range(N)])


def attack(eps: float = 4 / 255, steps: int = 4) -> BIM:
    return BIM(eps, 1 / 255, steps)


def test_a_plain_network_shows_no_sign(batch: ImageBatch) -> None:
    found = masking(Net().eval(), Images(), batch, FGM(), attack(), N * OF)
    assert (found.masking_samples, found.accuracy_at_large_eps) == (N, 0.0)
    assert found.large_eps == 0.5
    adversarial = attack(steps=8).perturb(Net().eval(), batch.images, batch.labels)
    expected = nn.functional.cross_entropy(Net()(adversarial), batch.labels).item()
    assert found.loss_of_twice_the_steps == pytest.approx(expected)


def test_a_gradient_that_vanishes_leaves_samples_at_any_eps(batch: ImageBatch) -> None:
    assert masking(Net(factor=0.0).eval(), Images(), batch, FGM(), attack(), N * OF).accuracy_at_large_eps == 1.0


def test_a_gradient_that_misleads_gets_weaker_with_more_steps(batch: ImageBatch) -> None:
    victim = Net(factor=-1.0).eval()
    found = masking(victim, Images(), batch, FGM(), attack(eps=20 / 255), N * OF)
    adversarial = attack(eps=20 / 255).perturb(victim, batch.images, batch.labels)
    once = nn.functional.cross_entropy(victim(adversarial), batch.labels).item()
    assert found.loss_of_twice_the_steps < 0.98 * once


def test_no_pass_is_padded(batch: ImageBatch) -> None:
    victim, adapter, sizes = Net().eval(), Images(), set()
    adapter.pass_size = 64
    victim.register_forward_pre_hook(lambda _, arguments: sizes.add(len(arguments[0])))
    found = masking(victim, adapter, batch, FGM(), attack(), N * OF)
    assert sizes == {N}
    assert adapter.pass_size == 64
    assert found == masking(victim, Images(), batch, FGM(), attack(), N * OF)


@pytest.mark.parametrize(
    ("method", "n_samples"), [(FGSM(4 / 255), N * OF), (attack(), OF), (attack(), 0), (attack(eps=0.0), N * OF)]
)
def test_it_is_left_out_where_it_says_nothing_or_costs_too_much(batch: ImageBatch, method: BIM, n_samples: int) -> None:
    assert masking(Net().eval(), Images(), batch, FGM(), method, n_samples) == Masking()


def test_units_that_never_vary_and_slopes_without_a_derivative(batch: ImageBatch) -> None:
    victim = Gated().eval()
    plain, gentle, steep = (preflight(victim, Images(), batch, method) for method in (FGM(), LGM(5.0), LGM(60.0)))
    assert [(checks.units, checks.constant_units) for checks in (plain, gentle, steep)] == [(2, 1)] * 3
    assert plain.saturated_occupancies is None
    assert gentle.saturated_occupancies == 0.0
    scores = torch.cat([batch.images.mean((1, 2, 3)) - 0.5, torch.ones(N)]).double()
    soft = torch.sigmoid(60.0 * scores)
    assert steep.saturated_occupancies == (soft * (1 - soft) < NO_DERIVATIVE).double().mean().item()
