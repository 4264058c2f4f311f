"""Losses against their formulas, class by class, and that a sample's gradient does not depend on its batch."""

import pytest
import torch
from torch import Tensor

from lgm_bench.attacks import losses

LOGITS = torch.tensor([[2.0, -1.0, 0.5, 3.0], [0.0, 4.0, -2.0, 1.0], [1.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
CLASSES = torch.tensor([0, 1, 2])


def test_cross_entropy() -> None:
    expected = [(row.exp().sum().log() - row[label]).item() for row, label in zip(LOGITS, CLASSES, strict=True)]
    assert losses.cross_entropy(LOGITS, CLASSES).tolist() == pytest.approx(expected)


def test_margin_and_carlini_wagner() -> None:
    assert losses.margin(LOGITS, CLASSES).tolist() == [-1.0, 3.0, 0.0]
    assert losses.carlini_wagner_loss(LOGITS, CLASSES, targeted=False).tolist() == [0.0, 3.0, 0.0]
    assert losses.carlini_wagner_loss(LOGITS, CLASSES, targeted=True).tolist() == [1.0, 0.0, 0.0]
    assert losses.carlini_wagner_loss(LOGITS, CLASSES, targeted=False, kappa=0.5).tolist() == [-0.5, 3.0, 0.0]


def test_difference_of_logits_ratios() -> None:
    untargeted = losses.difference_of_logits_ratio(LOGITS[:2], CLASSES[:2])
    assert untargeted.tolist() == pytest.approx([1 / 2.5, -3 / 4])
    targeted = losses.targeted_difference_of_logits_ratio(LOGITS[:2], CLASSES[:2], torch.tensor([3, 3]))
    assert targeted.tolist() == pytest.approx([1 / (3 - (0.5 - 1) / 2), -3 / (4 - (0 - 2) / 2)])


@pytest.mark.parametrize(
    "loss",
    [
        losses.cross_entropy,
        losses.margin,
        lambda z, y: losses.carlini_wagner_loss(z, y, targeted=True),
        losses.difference_of_logits_ratio,
        lambda z, y: losses.targeted_difference_of_logits_ratio(z, y, (y + 1) % 4),
    ],
)
def test_a_samples_gradient_is_its_own(loss) -> None:
    def gradient(logits: Tensor, classes: Tensor) -> Tensor:
        logits = logits.clone().requires_grad_()
        return torch.autograd.grad(loss(logits, classes).sum(), logits)[0]

    together = gradient(LOGITS[:2], CLASSES[:2])
    for row in range(2):
        assert torch.equal(gradient(LOGITS[row : row + 1], CLASSES[row : row + 1])[0], together[row])
