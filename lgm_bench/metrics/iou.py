"""The intersection over union (IoU) of classes and its mean (mIoU), as all numbers here use it.

The definition follows the official evaluations of the data sets as far as they agree (ScanNet:
`evaluate_semantic_label.py`; SemanticKITTI: `np_ioueval.py`; S3DIS has none, and all its 13 classes count):

- The confusion matrices of all scenes are added up. The IoU of a class is its hits over the points that are labelled or
  predicted as that class.
- A class that is only predicted and never labelled has the IoU 0, which lowers the mean.
- Classes that the data set leaves out have no IoU. Points labelled as such a class count nowhere; a labelled point that
  is predicted as one is a mistake.
- A class that occurs neither among labels nor among predictions has no IoU, as for ScanNet; SemanticKITTI gives it 0.
  The difference matters only for parts of the test sets, since the whole sets have every class. An absent class is no
  fault of the network.
"""

from collections.abc import Sequence

import numpy as np

Numbers = np.ndarray


def iou_counts(confusion: Numbers, ignored_classes: Sequence[int] = ()) -> tuple[Numbers, Numbers]:
    """Return intersection and union of each class, each (..., C) in points; both can be added up over scenes.

    Args:
        confusion: (..., C, C) counts, rows labels, columns predictions.
        ignored_classes: Classes that the data set leaves out, such as SemanticKITTI's "unlabeled"; they get 0.

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
    """Return the IoU of each class, (..., C); NaN for classes that do not occur.

    >>> class_ious(*iou_counts(np.array([[1, 0, 0], [1, 2, 0], [0, 0, 0]]))).tolist()
    [0.5, 0.6666666666666666, nan]
    """
    ious: Numbers = np.divide(hits, unions, out=np.full(unions.shape, np.nan), where=unions > 0)
    return ious


def mean_iou(hits: Numbers, unions: Numbers) -> Numbers:
    """Return the mean IoU (...) over the classes among labels or predictions; NaN if there are none.

    >>> float(mean_iou(*iou_counts(np.array([[3, 0, 1], [0, 4, 0], [0, 0, 0]]))))
    0.5833333333333334
    """
    occurs = unions > 0
    total = np.divide(hits, unions, out=np.zeros(unions.shape), where=occurs).sum(-1)
    n_classes = occurs.sum(-1)
    means: Numbers = np.divide(total, n_classes, out=np.full(n_classes.shape, np.nan), where=n_classes > 0)
    return means
