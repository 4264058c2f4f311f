"""Scans of a simulated LiDAR in SemanticKITTI's layout: a small data set that needs no download."""

from collections.abc import Iterator, Sequence

import numpy as np

from datamodules.generated.miniature import SEED, Files, Miniature
from datamodules.generated.street.lidar import Scan, scan
from datamodules.generated.street.plan import street
from datamodules.semantickitti import SEQUENCES, SemanticKITTIDataModule

STEPS = 256
"""Directions per turn, an eighth of the real sensor's; a scan has about 14,000 points."""

SCANS = {"test": 6, "train": 11}
"""Number of scans per sequence. One scan of each of the ten training sequences is held out."""


class SemanticKITTIMiniDataModule(Miniature, SemanticKITTIDataModule):
    """Scans of a simulated LiDAR with 64 beams: 100 to train on, 10 held out, 6 to test on.

    Each scan shows a different street and has about 14,000 points of 13 of the 19 classes. It has as many beams as the
    real sensor, but an eighth of the directions per turn. For arguments see `Miniature`.
    """

    name = "semantickitti-mini"

    def files(self, part: str) -> Files:
        return sequence_files(SEQUENCES[part], SCANS[part], SEED)


def street_scan(seed: tuple[int, ...]) -> Scan:
    """Return the scan of the street with this seed."""
    where = street(seed)
    return scan(where.ground, where.bodies, where.place, STEPS, np.random.default_rng([*seed, 1]))


def sequence_files(sequences: Sequence[str], scans: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of sequences: `dataset/sequences/SS/velodyne/000000.bin` and `.../labels/000000.label`.

    Args:
        sequences: Names of the sequences, of two digits.
        scans: Number of scans per sequence.
        seed: Determines the streets, with the sequence and the number of the scan.
    """
    for name in sequences:
        for number in range(scans):
            simulated = street_scan((seed, int(name), number))
            # Rounded to millimetres like the official scans, so that rounding errors of the machine hardly matter.
            values = np.concatenate([np.round(simulated.points, 3), simulated.reflectance[:, None]], 1).astype("<f4")
            folder = f"dataset/sequences/{name}"
            yield f"{folder}/velodyne/{number:06d}.bin", values.tobytes()
            yield f"{folder}/labels/{number:06d}.label", simulated.labels.astype("<u4").tobytes()
