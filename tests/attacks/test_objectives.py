"""Objectives against their formulas, class by class, and that a sample's gradient does not depend on its batch."""

import pytest
import torch
from attack_cases import Gated, attacked, batch_for, images
from ensemble_cases import seen_by
from torch import Tensor

from lgm_bench import FGM, LGM
from lgm_bench.attacks import BIM
from lgm_bench.attacks.objective import Objective, Pass
from lgm_bench.attacks.objectives import DLR, CrossEntropy, Margin, TargetedDLR
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import architecture
from lgm_bench.losses import margin

LOGITS = torch.tensor([[2.0, -1.0, 0.5, 3.0], [0.0, 4.0, -2.0, 1.0], [1.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
CLASSES = torch.tensor([0, 1, 2])


def raised(objective: Objective, *, targeted: bool = False, rows: int = 3) -> list[float]:
    labels = (CLASSES + 1) % 4 if targeted else CLASSES
    return objective(seen_by(LOGITS[:rows], labels[:rows], CLASSES[:rows] if targeted else None)).tolist()


def test_cross_entropy() -> None:
    expected = [(row.exp().sum().log() - row[label]).item() for row, label in zip(LOGITS, CLASSES, strict=True)]
    assert raised(CrossEntropy()) == pytest.approx(expected)
    assert raised(CrossEntropy(), targeted=True) == pytest.approx([-value for value in expected])


def test_margin() -> None:
    assert margin(LOGITS, CLASSES).tolist() == [-1.0, 3.0, 0.0]
    assert raised(Margin()) == [0.0, -3.0, 0.0]
    assert raised(Margin(), targeted=True) == [-1.0, 0.0, 0.0]
    assert raised(Margin(kappa=0.5)) == [0.5, -3.0, 0.0]


def test_difference_of_logits_ratios() -> None:
    assert raised(DLR(), rows=2) == pytest.approx([1 / 2.5, -3 / 4])
    assert raised(DLR(), targeted=True, rows=2) == pytest.approx([-1 / 2.5, 3 / 4])
    aimed = TargetedDLR(torch.tensor([3, 3, 3]))
    assert raised(aimed, rows=2) == pytest.approx([1 / (3 - (0.5 - 1) / 2), -3 / (4 - (0 - 2) / 2)])
    two = seen_by(LOGITS[:2, :2], torch.tensor([0, 1]))
    assert DLR()(two).tolist() == [-3.0, -4.0], "of two classes there is no ratio"


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("objective", [CrossEntropy(), Margin(), DLR(), TargetedDLR(torch.tensor([1, 2, 3]))])
def test_a_samples_gradient_is_its_own(objective: Objective, targeted: bool) -> None:
    def gradient(rows: list[int]) -> Tensor:
        logits = LOGITS[rows].clone().requires_grad_()
        seen = seen_by(logits, CLASSES[rows], (CLASSES[rows] + 1) % 4 if targeted else None)
        return torch.autograd.grad(objective(seen._replace(samples=torch.tensor(rows))).sum(), logits)[0]

    together = gradient([0, 1])
    for row in range(2):
        assert torch.equal(gradient([row])[0], together[row])


class OpenGates(Objective):
    """How many gates are open, by their occupancy under the gradient method."""

    reads_decisions = True

    def __call__(self, seen: Pass) -> Tensor:
        assert seen.decisions, "the pass decided something"
        return torch.stack([call.occupancy.flatten(1).sum(dim=1) for call in seen.decisions]).sum(dim=0)


def test_an_objective_of_the_decisions_needs_no_other_loop() -> None:
    """With leaded gates, an attack can open them; with the constant ones of FGM there is nothing to follow."""
    victim = Gated()
    batch = batch_for(victim, images(6))

    def open_gates(x: Tensor) -> Tensor:
        return sum(unit.flatten(1).sum(dim=1) for unit in architecture(victim, x))

    attack = BIM(16 / 255, step=4 / 255, steps=8, loss=OpenGates())
    opened = attacked(attack, victim, batch, LGM(5.0)).adversarial
    assert bool((open_gates(opened) > open_gates(batch.images)).all())
    assert torch.equal(attacked(attack, victim, batch, FGM()).adversarial, batch.images)


def test_an_objective_must_give_a_number_for_each_sample() -> None:
    class Total(Objective):
        def __call__(self, seen: Pass) -> Tensor:
            return seen.logits.sum()

    victim = Gated()
    with pytest.raises(ConfigError, match=r"Total gave values of shape \(\), expected one per sample, 3"):
        attacked(BIM(0.1, loss=Total()), victim, batch_for(victim, images(3)))
