"""The sparsity criterion against values computed by hand."""

import pytest
import torch

from victims.training.objectives import sparsity_criterion


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        # The network executes (0.2 * 1 + 0.8 * 3) / 4 = 0.65 of its multiply-adds: 0.15^2 above the target.
        (0.0, 0.0225 + 0.3**2 / 2 + 0.3**2 / 2),  # bounds 0.5 and 0.5: one block 0.3 below, one 0.3 above
        (0.165, 0.0225 + 0.05**2 / 2 + 0.05**2 / 2),  # halfway cos^2 is 1/2: bounds 0.25 and 0.75
        (0.33, 0.0225),  # bounds 0 and 1
        (0.9, 0.0225),
    ],
)
def test_two_blocks_of_unequal_cost(progress: float, expected: float) -> None:
    shares, costs = torch.tensor([0.2, 0.8]), torch.tensor([1.0, 3.0])
    assert sparsity_criterion(shares, costs, 0.5, progress).item() == pytest.approx(expected, abs=1e-6)


def test_bounds_that_are_relaxed_later_or_never() -> None:
    shares, costs = torch.tensor([0.2, 0.8]), torch.tensor([1.0, 3.0])
    halfway = 0.0225 + 0.05**2 / 2 + 0.05**2 / 2
    for progress, relaxed_after in ((0.25, 0.5), (1.0, 2.0)):
        found = sparsity_criterion(shares, costs, 0.5, progress, relaxed_after).item()
        assert found == pytest.approx(halfway, abs=1e-6)


def test_zero_at_the_target() -> None:
    shares, costs = torch.full((3,), 0.6), torch.tensor([1.0, 5.0, 2.0])
    assert sparsity_criterion(shares, costs, 0.6, 0.0).item() == pytest.approx(0, abs=1e-12)


def test_its_gradient_pulls_towards_the_target() -> None:
    for share, sign in ((0.9, 1), (0.1, -1)):
        shares = torch.full((2,), share, requires_grad=True)
        (gradient,) = torch.autograd.grad(sparsity_criterion(shares, torch.ones(2), 0.5, 0.5), shares)
        assert bool((gradient * sign > 0).all())
