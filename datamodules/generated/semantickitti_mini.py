"""A simulated LiDAR in generated streets, as SemanticKITTI: small, and there without a download."""

from collections.abc import Iterator, Sequence

import numpy as np

from datamodules.generated.miniature import SEED, Files, Miniature
from datamodules.generated.street.lidar import Scan, scan
from datamodules.generated.street.plan import street
from datamodules.semantickitti import SEQUENCES, SemanticKITTIDataModule

STEPS = 256
"""Directions per turn, an eighth of the real sensor's: a scan has about 14,000 points."""

SCANS = {"test": 6, "train": 11}
"""Scans of each sequence. One scan of each of the ten training sequences is held out."""


class SemanticKITTIMiniDataModule(Miniature, SemanticKITTIDataModule):
    """Scans of a simulated 64-beam LiDAR in SemanticKITTI's layout: 100 to train on, 10 held out, 6 to test on.

    Every scan shows another street and has about 14,000 points of 13 of the 19 classes. Its beams are as dense as
    those of the real sensor, its directions per turn an eighth. Arguments are those of `Miniature`.
    """

    name = "semantickitti-mini"

    def files(self, part: str) -> Files:
        return sequence_files(SEQUENCES[part], SCANS[part], SEED)


def street_scan(seed: tuple[int, ...]) -> Scan:
    """Return the scan of the street of this seed."""
    where = street(seed)
    return scan(where.ground, where.bodies, where.place, STEPS, np.random.default_rng([*seed, 1]))


def sequence_files(sequences: Sequence[str], scans: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of some sequences: `dataset/sequences/SS/velodyne/000000.bin`, `.../labels/000000.label`.

    Args:
        sequences: Their names, two digits.
        scans: Scans of each.
        seed: Determines the streets, with sequence and scan.
    """
    for name in sequences:
        for number in range(scans):
            made = street_scan((seed, int(name), number))
            # Rounded to millimetres like the official scans, so that another machine's sine changes next to nothing.
            values = np.concatenate([np.round(made.points, 3), made.reflectance[:, None]], 1).astype("<f4")
            folder = f"dataset/sequences/{name}"
            yield f"{folder}/velodyne/{number:06d}.bin", values.tobytes()
            yield f"{folder}/labels/{number:06d}.label", made.labels.astype("<u4").tobytes()
