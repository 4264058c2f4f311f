"""Parametric shapes, as ModelNet40: small, and there without a download."""

from pathlib import Path

from datamodules.miniature import Miniature
from datamodules.modelnet40 import ModelNet40DataModule
from datamodules.parts import Files
from datamodules.shapes.files import shape_files
from lgm_bench.files import cache_folder

VERSION = 1
"""Raised whenever the same seed gives other shapes, so that folders of other shapes are not read."""

SEED = 0
EACH = {"test": 4, "train": 30}
"""Shapes of each class; of the 30 to train on 3 are held out."""


class ModelNet40MiniDataModule(Miniature, ModelNet40DataModule):
    """Generated shapes of 20 of ModelNet40's classes in text form: 27 of each to train on, 3 held out, 4 to test on.

    They lie in `$LGM_BENCH_CACHE`, else in the user's cache folder. The class indices are those of all 40 classes.

    Args:
        data_root: Not used, since the shapes need not be brought; every data set takes one.
        batch_size: See `ModelNet40DataModule`, as of all that follow.
        limit: Only the first so many shapes of the subset, the classes taking turns; None: all.
        subset: "test", "train" or "holdout".
        holdout: Share of every class's training shapes that is held out.
        points: Points of a shape, at most 2,048.
        seed: Determines, with the epoch, order and augmentation in training; not the shapes.

    Raises:
        ConfigError: batch_size, limit or points is below 1, seed below 0, holdout not a share below 1, or the subset
            is unknown.
    """

    name = "modelnet40-mini"

    def __init__(
        self,
        data_root: Path | str | None = None,  # noqa: ARG002
        batch_size: int = 32,
        limit: int | None = None,
        subset: str = "test",
        holdout: float = 0.1,
        points: int = 2048,
        seed: int = 0,
    ) -> None:
        folder = cache_folder(f"{self.name}-seed{SEED}-v{VERSION}")
        super().__init__(folder, batch_size, limit, subset, holdout, points, seed)

    def files(self, part: str) -> Files:
        return shape_files(part, EACH[part], SEED)
