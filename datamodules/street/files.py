"""Scans of generated streets as SemanticKITTI's files."""

from collections.abc import Iterator, Sequence

import numpy as np

from datamodules.street.lidar import Scan, scan
from datamodules.street.plan import street

STEPS = 256
"""Directions around: an eighth of the real sensor's, so that a scan has about 14,000 points."""


def street_scan(seed: tuple[int, ...]) -> Scan:
    """Return the scan of a street of its own, the same for the same seed."""
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
            # To millimetres, as the official scans; so another machine's sine changes next to nothing.
            values = np.concatenate([np.round(made.points, 3), made.reflectance[:, None]], 1).astype("<f4")
            folder = f"dataset/sequences/{name}"
            yield f"{folder}/velodyne/{number:06d}.bin", values.tobytes()
            yield f"{folder}/labels/{number:06d}.label", made.labels.astype("<u4").tobytes()
