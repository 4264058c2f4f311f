"""What the hard network makes of scenes and shapes, and which of two outcomes an attack prefers."""

from typing import NamedTuple

import torch
from torch import Tensor

from lgm_bench.attacks.losses import margin
from lgm_bench.errors import ConfigError
from lgm_bench.metrics.segmentation import confusion_matrix, mean_iou_of
from lgm_bench.voxels import IGNORED


class Verdict(NamedTuple):
    """The outcome for B scenes.

    Attributes:
        score: (B,) float64, what an attack wants low: the mIoU of a scene, the margin of a shape's true class.
        fallen: (B,) bool, whether a shape is misclassified; False for scenes.
    """

    score: Tensor
    fallen: Tensor

    def beats(self, other: "Verdict") -> Tensor:
        """Return where (B,) this is better for the attack: fallen over not fallen, else the lower score."""
        return (self.fallen & ~other.fallen) | ((self.fallen == other.fallen) & (self.score < other.score))


def scene_verdict(logits: Tensor, labels: Tensor, ignored_classes: tuple[int, ...], name: str) -> Verdict:
    """Return the mIoU of one scene, over the classes that occur among its labels or predictions.

    Args:
        logits: (N, C).
        labels: (N,) int64, `IGNORED` where there is none.
        ignored_classes: Classes that take no part.
        name: The scene's id, for errors.

    Raises:
        ConfigError: The victim does not know a label's class, or its logits are not finite.
    """
    check_classes(labels[labels != IGNORED], logits)
    if not bool(logits.isfinite().all()):
        raise ConfigError(f"the victim's logits of {name!r} are not finite; check its weights")
    score = mean_iou_of(confusion_matrix(labels, logits.argmax(dim=1), logits.shape[1]), ignored_classes)
    return Verdict(score[None], torch.zeros(1, dtype=torch.bool, device=logits.device))


def class_verdict(logits: Tensor, labels: Tensor) -> Verdict:
    """Return by how much the true class of each shape leads, from logits (B, C) and labels (B,).

    Raises:
        ConfigError: The victim does not know a label's class, or its logits are not finite.
    """
    check_classes(labels, logits)
    if not bool(logits.isfinite().all()):
        raise ConfigError("the victim's logits are not finite; check its weights")
    return Verdict(margin(logits, labels).double(), logits.argmax(dim=1) != labels)


def check_classes(labels: Tensor, logits: Tensor) -> None:
    """Check that the victim knows the labels' classes.

    Raises:
        ConfigError: It does not.
    """
    if int(labels.max()) >= logits.shape[1]:
        raise ConfigError(
            f"class {int(labels.max())} is out of range: the victim knows {logits.shape[1]} classes (0 to "
            f"{logits.shape[1] - 1}); check that data and victim belong together"
        )
