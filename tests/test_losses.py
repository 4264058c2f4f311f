"""Cross-entropy against PyTorch's; the Lovasz-softmax against the extension of 1 - IoU over the mistaken points."""

import numpy as np
import pytest
import torch
from torch import nn

from lgm_bench.losses import MANY, cross_entropy, lovasz_softmax

POINTS, CLASSES = 9, 4


def one_minus_iou(foreground: np.ndarray, mistaken: np.ndarray) -> float:
    """1 - IoU of a class when exactly the points of the set `mistaken` are taken for what they are not."""
    predicted = foreground ^ mistaken
    union = (foreground | predicted).sum()
    return 0.0 if union == 0 else 1 - (foreground & predicted).sum() / union


def extension(foreground: np.ndarray, errors: np.ndarray) -> float:
    """The Lovasz extension as an integral: of 1 - IoU of the points whose error is above a threshold in [0, 1]."""
    levels = np.unique(np.concatenate([[0.0, 1.0], errors]))
    middles = (levels[1:] + levels[:-1]) / 2
    return sum(
        (high - low) * one_minus_iou(foreground, errors > middle)
        for low, middle, high in zip(levels[:-1], middles, levels[1:], strict=True)
    )


def by_definition(probabilities: np.ndarray, labels: np.ndarray) -> float:
    losses = []
    for number in sorted(set(labels.tolist())):
        foreground = labels == number
        errors = np.where(foreground, 1 - probabilities[:, number], probabilities[:, number])
        losses.append(extension(foreground, errors))
    return float(np.mean(losses))


@pytest.mark.parametrize("seed", range(8))
def test_the_definition(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    probabilities = (3 * torch.randn(POINTS, CLASSES, generator=generator, dtype=torch.float64)).softmax(1)
    labels = torch.randint(CLASSES - seed % 2, (POINTS,), generator=generator)  # odd seeds: a class is absent
    expected = by_definition(probabilities.numpy(), labels.numpy())
    assert lovasz_softmax(probabilities, labels).item() == pytest.approx(expected, abs=1e-12)


def test_by_hand() -> None:
    # Class 0 has points 0 and 1. Errors .2, .6 and, of point 2, .5. In descending order: point 1 (1 - 1/2 = 1/2), then
    # point 2 (1 - 1/3 = 2/3), then point 0 (1): .6 * 1/2 + .5 * 1/6 + .2 * 1/3 = .45.
    # Class 1 has point 2. Errors .5 and .2, .6: point 1 (1 - 1/2), point 2 (1), point 0 (1): .6 * 1/2 + .5 * 1/2 = .55.
    probabilities = torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]], dtype=torch.float64)
    assert lovasz_softmax(probabilities, torch.tensor([0, 0, 1])).item() == pytest.approx((0.45 + 0.55) / 2)


def test_certain_predictions_give_one_minus_miou() -> None:
    labels, predicted = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 1, 2, 2])
    certain = torch.eye(3, dtype=torch.float64)[predicted]
    expected = np.mean([1 - 2 / 3, 1 - 1 / 3, 1 - 1 / 2])
    assert lovasz_softmax(certain, labels).item() == pytest.approx(expected)
    assert lovasz_softmax(torch.eye(3, dtype=torch.float64)[labels], labels).item() == 0


def test_the_gradient_is_that_of_differences_and_favours_the_true_class() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(POINTS, CLASSES, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(CLASSES, (POINTS,), generator=generator)
    assert torch.autograd.gradcheck(lambda x: lovasz_softmax(x.softmax(1), labels), logits)
    probabilities = logits.detach().softmax(1).requires_grad_()
    lovasz_softmax(probabilities, labels).backward()
    true = torch.nn.functional.one_hot(labels, CLASSES).bool()
    present = torch.zeros(CLASSES, dtype=torch.bool).index_fill_(0, labels, True)
    assert (probabilities.grad[true] <= 0).all()
    assert (probabilities.grad[~true] >= 0).all()
    assert (probabilities.grad[:, ~present] == 0).all()
    assert probabilities.grad.abs().sum() > 0.1


def test_no_points_no_loss() -> None:
    probabilities = torch.ones(0, 3, requires_grad=True)
    loss = lovasz_softmax(probabilities, torch.ones(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0


@pytest.mark.parametrize("rows", [0, 3, MANY + 1])
def test_cross_entropy_of_few_and_many_rows_is_that_of_pytorch(rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(rows, 5, dtype=torch.float64, generator=generator).requires_grad_()
    classes, above = torch.arange(rows) % 5, torch.rand(rows, dtype=torch.float64, generator=generator)
    losses = [loss(logits, classes) for loss in (cross_entropy, nn.CrossEntropyLoss(reduction="none"))]
    torch.testing.assert_close(*losses, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(loss, logits, above)[0] for loss in losses]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)
