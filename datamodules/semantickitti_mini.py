"""A simulated LiDAR in generated streets, as SemanticKITTI: small, and there without a download."""

from pathlib import Path

from datamodules.miniature import Miniature
from datamodules.parts import Files
from datamodules.semantickitti import SEQUENCES, SemanticKITTIDataModule
from datamodules.street.files import sequence_files
from lgm_bench.files import cache_folder

VERSION = 1
"""Raised whenever the same seed gives other scans, so that folders of other scans are not read."""

SEED = 0
SCANS = {"test": 6, "train": 11}
"""Scans of each sequence; of the ten sequences to train on one scan each is held out."""


class SemanticKITTIMiniDataModule(Miniature, SemanticKITTIDataModule):
    """Scans of a simulated 64-beam LiDAR in SemanticKITTI's layout: 100 to train on, 10 held out, 6 to test on.

    Every scan is of a street of its own, and has about 14,000 points of 13 of the 19 classes: as dense from beam to
    beam as a real one, and eight times as coarse around. They lie in `$LGM_BENCH_CACHE`, else in the user's cache
    folder.

    Args:
        data_root: Not used, since the scans need not be brought; every data set takes one.
        batch_size: See `SemanticKITTIDataModule`, as of all that follow.
        limit: Only the first so many scans of the subset; None: all.
        subset: "test", "train" or "holdout".
        seed: Determines, with the epoch, order and augmentation in training; not the scans.

    Raises:
        ConfigError: batch_size or limit is below 1, seed below 0, or the subset is unknown.
    """

    name = "semantickitti-mini"

    def __init__(
        self,
        data_root: Path | str | None = None,  # noqa: ARG002
        batch_size: int = 1,
        limit: int | None = None,
        subset: str = "test",
        seed: int = 0,
    ) -> None:
        super().__init__(cache_folder(f"{self.name}-seed{SEED}-v{VERSION}"), batch_size, limit, subset, seed)

    def files(self, part: str) -> Files:
        return sequence_files(SEQUENCES[part], SCANS[part], SEED)
