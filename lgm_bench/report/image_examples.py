"""Images before and after attacks, and the change between them."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.report.drawing import picture
from lgm_bench.report.groups import Group, class_name
from lgm_bench.report.model import Figure, Panel
from lgm_bench.tasks.samples import SavedImage

CAPTION = (
    "Each row is one of the first samples of the data set: the clean image, then for each gradient the attacked "
    "image and the change. Grey means no change; changes are amplified so that the largest one spans the whole "
    "range. The class that the hard network predicts is below each image, with ✗ if it is wrong. Some attacks skip "
    "images that are wrong from the start. Intensities outside [0, 1] are clipped here."
)
WIDTH = 136
"""Approximate width of a picture, CSS pixels."""


def image_examples(groups: Sequence[Group], names: Sequence[str]) -> list[Figure]:
    """Return the examples of every victim of one data set; there is one group per victim."""
    figures: list[Figure] = []
    for group in groups:
        rows = [_sample_panels(group, by_gradient, names) for by_gradient in group.examples(SavedImage).values()]
        if rows:
            caption = "" if figures else CAPTION
            figures.append(Figure(f"{group.cell.victim.name}: {group.attack}, eps {group.eps}", caption, rows))
    return figures


def _sample_panels(group: Group, by_gradient: dict[str, SavedImage], names: Sequence[str]) -> list[Panel]:
    first = next(iter(by_gradient.values()))
    truth, before = class_name(names, int(first.label)), class_name(names, int(first.clean_prediction))
    panels = [
        _panel(_shown(first.clean), f"clean: {before}{_wrong(truth, before)}", f"Clean image {first.id}, {truth}")
    ]
    largest = max(float((image.adversarial - image.clean).abs().max()) for image in by_gradient.values()) or 1.0
    for gradient, image in by_gradient.items():
        after, word = class_name(names, int(image.adversarial_prediction)), gradient_name(gradient)
        target = "" if int(image.target) < 0 else f", target {class_name(names, int(image.target))}"
        words = f"{word}: {after}{target}{_wrong(truth, after)}"
        panels.append(_panel(_shown(image.adversarial), words, f"{first.id} after {group.attack} with {word}: {after}"))
        added = 0.5 + (image.adversarial - image.clean) / (2 * largest)
        label = f"{word} added × {0.5 / largest:.3g}"
        label = label if image.adversarial.ne(image.clean).any() else f"{word}: not attacked"
        panels.append(_panel(_shown(added), label, f"What {word} added to {first.id}, amplified"))
    return panels


def _panel(pixels: np.ndarray, label: str, alt: str) -> Panel:
    scale = max(WIDTH // pixels.shape[1], 1)
    return Panel(picture(pixels, alt, scale=scale), label, width=pixels.shape[1] * scale)


def _shown(image: Tensor) -> np.ndarray:
    """Return an image (3, H, W) in [0, 1] as (H, W, 3) uint8."""
    pixels: np.ndarray = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return pixels


def _wrong(truth: str, predicted: str) -> str:
    return "" if truth == predicted else " ✗"
