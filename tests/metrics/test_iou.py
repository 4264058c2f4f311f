"""Confusion matrices and IoU against numpy, scikit-learn and torchmetrics."""

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix as sklearn_confusion
from torchmetrics.classification import MulticlassJaccardIndex

from lgm_bench.errors import ConfigError
from lgm_bench.metrics.confusion import confusion_matrix, mean_iou_of
from lgm_bench.metrics.iou import class_ious, iou_counts, mean_iou
from lgm_bench.voxels import IGNORED

CLASSES = 6


def scenes(n: int, seed: int = 0, ignored: float = 0.2) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Labels, some ignored, and predictions that are right more often than not; class 5 never occurs."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for size in range(40, 40 + n):
        labels = torch.randint(0, CLASSES - 1, (size,), generator=generator)
        wrong = torch.rand(size, generator=generator) < 0.4
        predictions = torch.where(wrong, torch.randint(0, CLASSES - 1, (size,), generator=generator), labels)
        labels[torch.rand(size, generator=generator) < ignored] = IGNORED
        made.append((labels, predictions))
    return made


def numpy_ious(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Set by set."""
    labels, predictions = labels[labels != IGNORED], predictions[labels != IGNORED]
    ious = []
    for number in range(CLASSES):
        union = ((labels == number) | (predictions == number)).sum()
        ious.append(((labels == number) & (predictions == number)).sum() / union if union else np.nan)
    return np.array(ious)


def test_confusion_of_a_scene() -> None:
    for labels, predictions in scenes(5):
        found = confusion_matrix(labels, predictions, CLASSES)
        counted = labels != IGNORED
        expected = sklearn_confusion(labels[counted], predictions[counted], labels=range(CLASSES))
        np.testing.assert_array_equal(found.numpy(), expected)
        assert found.dtype == torch.int64
    nothing = confusion_matrix(torch.tensor([IGNORED]), torch.tensor([3]), CLASSES)
    assert nothing.sum() == 0


def test_ious_of_a_scene() -> None:
    for labels, predictions in scenes(5):
        confusion = confusion_matrix(labels, predictions, CLASSES)
        counts, expected = iou_counts(confusion.numpy()), numpy_ious(labels.numpy(), predictions.numpy())
        np.testing.assert_allclose(class_ious(*counts), expected, rtol=1e-15)
        assert np.isnan(class_ious(*counts)[5]), "a class that does not occur has no value"
        assert mean_iou(*counts) == pytest.approx(np.nanmean(expected), rel=1e-15)
        assert mean_iou_of(confusion) == mean_iou(*counts)
        jaccard = MulticlassJaccardIndex(CLASSES, ignore_index=IGNORED)(predictions, labels)
        assert mean_iou(*counts) == pytest.approx(jaccard.item(), rel=1e-6)


def test_absent_and_only_predicted_classes() -> None:
    """torchmetrics agrees: a class that is only predicted counts with 0, and one that is absent does not count."""
    labels, predictions = torch.tensor([0, 0, 1]), torch.tensor([0, 2, 1])
    counts = iou_counts(confusion_matrix(labels, predictions, 4).numpy())
    np.testing.assert_equal(class_ious(*counts), [0.5, 1, 0, np.nan])
    assert mean_iou(*counts) == 0.5
    assert MulticlassJaccardIndex(4)(predictions, labels).item() == 0.5


def test_ignored_classes() -> None:
    """What is taken for an ignored class stays a mistake; the class itself has no IoU, and its points count nowhere."""
    labels, predictions = torch.tensor([1, 1, 2, 2, 0]), torch.tensor([1, 0, 2, 2, 2])
    confusion = confusion_matrix(labels, predictions, 3).numpy()
    np.testing.assert_equal(class_ious(*iou_counts(confusion, (0,))), [np.nan, 0.5, 1])
    assert mean_iou(*iou_counts(confusion, (0,))) == 0.75
    assert mean_iou(*iou_counts(confusion)) == pytest.approx((0 + 0.5 + 2 / 3) / 3)
    assert np.isnan(mean_iou(*iou_counts(confusion, (0, 1, 2))))
    stacked = np.stack([confusion, confusion.T])
    alone = mean_iou(*iou_counts(confusion.T, (0,)))
    np.testing.assert_equal(mean_iou(*iou_counts(stacked, (0,))), [0.75, alone])
    assert confusion.sum() == 5, "the matrix itself stays as it was"


def test_against_the_official_evaluation_of_semantickitti() -> None:
    """`np_ioueval.py` of its devkit clears the labels of ignored classes; its mean is over all others, which occur."""
    confusion = np.random.default_rng(0).integers(1, 50, (4, 4))
    rows_are_predictions = confusion.T.copy()
    rows_are_predictions[:, [0]] = 0
    hits = np.diag(rows_are_predictions)
    wrong = rows_are_predictions.sum(axis=1) - hits + rows_are_predictions.sum(axis=0) - hits
    official = (hits[1:] / (hits[1:] + wrong[1:] + 1e-15)).mean()
    assert mean_iou(*iou_counts(confusion, (0,))) == pytest.approx(official, rel=1e-12)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 1], [0], r"must both be \(N,\), got \(2,\) and \(1,\)"),
        ([0, 7], [0, 1], "label 7 is out of range: there are 6 classes"),
        ([0, 1], [0, -1], "prediction -1 is out of range"),
        ([0, 1], [0, 6], "prediction 6 is out of range"),
    ],
)
def test_what_is_refused(labels: list[int], predictions: list[int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        confusion_matrix(torch.tensor(labels), torch.tensor(predictions), CLASSES)
