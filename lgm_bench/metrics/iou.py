"""The intersection over union (IoU) of classes and its mean (mIoU): the one definition behind all numbers here.

It follows the data sets' official evaluations as far as they agree (ScanNet: `evaluate_semantic_label.py`;
SemanticKITTI: `np_ioueval.py`; S3DIS has no official one, and its IoUs are those of all 13 classes):

- The confusion matrices of all scenes are added up. The IoU of a class is its hits over the points that are labelled or
  predicted as that class.
- A class that is only predicted and never labelled has the IoU 0, which lowers the mean.
- Classes that the data set leaves out have no IoU. Points labelled as such a class count nowhere; a labelled point that
  is predicted as one is a mistake.
- A class that occurs neither among labels nor among predictions has no IoU. Here the two disagree: ScanNet gives it
  none, SemanticKITTI gives it 0. Their whole test sets have every class, so this matters only for parts of them, where
  the network cannot be blamed for an absent class.
"""

from collections.abc import Sequence

import numpy as np

Numbers = np.ndarray


def iou_counts(confusion: Numbers, ignored_classes: Sequence[int] = ()) -> tuple[Numbers, Numbers]:
    """Return each class's intersection and union, (..., C) each, in points; both may be added up over scenes.

    Args:
        confusion: (..., C, C) counts, rows labels, columns predictions.
        ignored_classes: Classes that the data set leaves out, such as "unlabeled" of SemanticKITTI; they get 0.

    >>> iou_counts(np.array([[1, 0, 0], [1, 2, 0], [0, 0, 0]]))
    (array([1, 2, 0]), array([2, 3, 0]))
    """
    left_out = list(ignored_classes)
    confusion = confusion.copy()
    confusion[..., left_out, :] = 0
    hits = confusion.diagonal(0, -2, -1)
    unions = confusion.sum(-1) + confusion.sum(-2) - hits
    unions[..., left_out] = 0
    return hits, unions


def class_ious(hits: Numbers, unions: Numbers) -> Numbers:
    """Return the IoU of each class (..., C), NaN for one that does not occur.

    >>> class_ious(*iou_counts(np.array([[1, 0, 0], [1, 2, 0], [0, 0, 0]]))).tolist()
    [0.5, 0.6666666666666666, nan]
    """
    ious: Numbers = np.divide(hits, unions, out=np.full(unions.shape, np.nan), where=unions > 0)
    return ious


def mean_iou(hits: Numbers, unions: Numbers) -> Numbers:
    """Return the mean IoU (...) over the classes that occur among labels or predictions, NaN where none does.

    >>> float(mean_iou(*iou_counts(np.array([[3, 0, 1], [0, 4, 0], [0, 0, 0]]))))
    0.5833333333333334
    """
    occurs = unions > 0
    total = np.divide(hits, unions, out=np.zeros(unions.shape), where=occurs).sum(-1)
    n_classes = occurs.sum(-1)
    means: Numbers = np.divide(total, n_classes, out=np.full(n_classes.shape, np.nan), where=n_classes > 0)
    return means
