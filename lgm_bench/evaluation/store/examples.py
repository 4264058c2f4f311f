"""Examples: the first samples of a cell before and after the attack, which every run keeps for pictures."""

import logging
from pathlib import Path

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.store.arrays import sample_path
from lgm_bench.evaluation.store.example_clouds import ExampleCloud, load_example_cloud, save_example_cloud
from lgm_bench.evaluation.store.images import SavedImage, load_image, save_image

log = logging.getLogger(__name__)

EXAMPLES = "examples"
N_EXAMPLES = 2
"""Of how many samples examples are kept, the first ones in the data set's order."""

Example = SavedImage | ExampleCloud


def save_example(folder: Path, sample: Example) -> None:
    """Write an example into a folder, which exists, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    if isinstance(sample, ExampleCloud):
        save_example_cloud(folder, sample)
    else:
        save_image(folder, sample)


def read_examples(folder: Path) -> list[Example]:
    """Return the examples of a cell, ordered by the names of their files; those that are damaged are left out.

    Args:
        folder: The cell's folder.
    """
    found: list[Example] = []
    for path in sorted((folder / EXAMPLES).glob("*.npz")):
        try:
            example = _read(path)
        except ResultError as error:
            log.warning("an example is left out: %s", error)
            continue
        if sample_path(path.parent, example.id) == path:
            found.append(example)
        else:
            log.warning("an example is left out: %s is of another sample, %s", path, example.id)
    return found


def _read(path: Path) -> Example:
    try:
        return load_image(path)
    except ResultError:
        return load_example_cloud(path)
