"""Images on which the arms differ: before and after the attacks, the change, and what the gates decided."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from torch import Tensor

from lgm_bench.evaluation.store.samples import kept_ids, read_image
from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.report.contrast import chosen, kinds, missing
from lgm_bench.report.drawing import picture
from lgm_bench.report.gate_pictures import GateRow, gate_rows
from lgm_bench.report.groups import Group, class_name
from lgm_bench.report.model import WHOLE_WIDTH, Figure, Panel
from lgm_bench.report.templating import rendered
from lgm_bench.tasks.metric import ARCHITECTURE_CHANGE
from lgm_bench.tasks.samples import GateRecord, SavedImage

CAPTION = (
    "The second row shows what the attack added: grey is no change, and the scale is symmetric about it. Below are the "
    "decisions of the hard network's gates before and after the attack. The class that it predicts is below each "
    "image, with ✗ if it is wrong."
)
NO_GATES = "These images were kept without the decisions of the gates; run again with --fresh to see them."
SHOWN = 170
"""Largest width of an image on the page, CSS pixels; smaller images keep sharp pixels."""
SAVE_ALL = "; --save-adversarial keeps all images"


@dataclass(frozen=True)
class Column:
    """One image of an example.

    Attributes:
        title: "clean" or the arm.
        image: The image.
        predicted: The class that the hard network predicts.
        right: Whether that is the true class.
        change: What the attack added; None for the clean image.
    """

    title: str
    image: Markup
    predicted: str
    right: bool
    change: Markup | None = None


@dataclass(frozen=True)
class Example:
    """One image before and after the attacks.

    Attributes:
        title: How the attacks end.
        id: Id of the sample.
        truth: The true class, and the target if there is one.
        columns: The clean image and one for each arm.
        scale: The change that is drawn black and white, in 1/255.
        gates: What the gates decided.
    """

    title: str
    id: str
    truth: str
    columns: Sequence[Column]
    scale: str
    gates: Sequence[GateRow]


def image_examples(groups: Sequence[Group], names: Sequence[str]) -> list[Figure]:
    """Return the examples of every victim of one data set; there is one group per victim."""
    figures: list[Figure] = []
    for group in groups:
        available = [kept_ids(arm.folder) for arm in group.arms.values()]
        in_all = set.intersection(*map(set, available))
        if not in_all:
            continue
        every = kinds(group)
        shown = [
            example
            for key, title in chosen(every, in_all)
            if (example := _example(group, key, title, names)) is not None
        ]
        words = [missing(every, in_all, SAVE_ALL)]
        words += [NO_GATES] if _is_adaptive(group) and not any(example.gates for example in shown) else []
        words += [] if figures else [CAPTION]
        title = f"{group.cell.victim.name}: {group.attack}, eps {group.eps}"
        outcomes = rendered(
            "outcomes", kinds=every, samples="images", colours=[group.styles[arm].colour for arm in group.arms]
        )
        panel = Panel(outcomes + rendered("image_examples", examples=shown), width=WHOLE_WIDTH)
        legend = list(dict.fromkeys(entry for example in shown for row in example.gates for entry in row.legend))
        figures.append(Figure(title, " ".join(filter(None, words)), [[panel]], legend))
    return figures


def _example(group: Group, key: str, title: str, names: Sequence[str]) -> Example | None:
    by_gradient = {gradient: read_image(arm.folder, key) for gradient, arm in group.arms.items()}
    images = {gradient: image for gradient, image in by_gradient.items() if image is not None}
    if len(images) < len(by_gradient):
        return None
    first = next(iter(images.values()))
    clean, label = _pixels(first.clean), int(first.label)
    largest = max(float((image.adversarial - image.clean).abs().max()) for image in images.values())
    columns = [_column("clean", clean, int(first.clean_prediction), label, names, f"Clean image {key}")]
    for gradient, image in images.items():
        word = gradient_name(gradient)
        after = int(image.adversarial_prediction)
        added = 0.5 + (image.adversarial - image.clean) / (2 * (largest or 1.0))
        change = picture(_pixels(added), f"What {word} added to {key}", scale=2)
        columns.append(
            _column(word, _pixels(image.adversarial), after, label, names, f"{key} after {word}", change=change)
        )
    target = "" if int(first.target) < 0 else f", target {class_name(names, int(first.target))}"
    states = [_gates(first, 0), *(_gates(image, 1) for image in images.values())]
    gates = gate_rows(states, clean) if states[0] else []
    scale = f"{255 * largest:.3g}"
    return Example(title, key, f"{class_name(names, label)}{target}", columns, scale, gates)


def _column(
    title: str,
    pixels: np.ndarray,
    predicted: int,
    label: int,
    names: Sequence[str],
    alt: str,
    change: Markup | None = None,
) -> Column:
    name = class_name(names, predicted)
    image = picture(pixels, f"{alt}, predicted as {name}", scale=2 if pixels.shape[1] < SHOWN else 1)
    return Column(title, image, name, predicted == label, change)


def _is_adaptive(group: Group) -> bool:
    return group.any_result.metrics[ARCHITECTURE_CHANGE.name] is not None


def _gates(image: SavedImage, attempt: int) -> list[GateRecord]:
    return [gate for gate in image.gates if int(gate.attempt) == attempt]


def _pixels(image: Tensor) -> np.ndarray:
    """Return an image (3, H, W) in [0, 1] as (H, W, 3) uint8."""
    pixels: np.ndarray = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return pixels
