"""Tiny SemanticKITTI and ModelNet40 data sets in the official on-disk layouts."""

from pathlib import Path

import h5py
import numpy as np

RAW_IDS = (0, 1, 10, 11, 13, 15, 16, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 52, 60, 70, 71, 72, 80, 81, 99)
MOVING_IDS = (252, 253, 254, 255, 256, 257, 258, 259)


def write_semantickitti(root: Path, scans: dict[str, int], points: int = 40, seed: int = 0) -> Path:
    """Write so many random scans of each sequence below root/dataset; every annotated id is among their labels."""
    random = np.random.default_rng(seed)
    for sequence, count in scans.items():
        folder = root / "dataset" / "sequences" / sequence
        (folder / "velodyne").mkdir(parents=True)
        (folder / "labels").mkdir()
        for number in range(count):
            values = random.uniform(-50, 50, (points, 4)).astype("<f4")
            values[:, 2] *= 0.03  # low enough for the networks' grid
            values[:, 3] = random.uniform(0, 1, points)
            values.tofile(folder / "velodyne" / f"{number:06d}.bin")
            semantic = np.resize(np.array(RAW_IDS + MOVING_IDS), points).astype("<u4")
            instance = random.integers(0, 1 << 16, points).astype("<u4")
            (semantic | instance << 16).tofile(folder / "labels" / f"{number:06d}.label")
    return root


def write_text_shapes(root: Path, names: list[str], points: int = 2100, seed: int = 0) -> Path:
    """Write random point lists root/modelnet40_normal_resampled/CLASS/NAME.txt, without lists of the splits."""
    random = np.random.default_rng(seed)
    for name in names:
        path = root / "modelnet40_normal_resampled" / name.rpartition("_")[0] / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, random.normal(2, 3, (points, 6)), fmt="%.6f", delimiter=",")
    return root


def write_hdf5_shapes(root: Path, labels: dict[str, list[int]], points: int = 2048, seed: int = 0) -> Path:
    """Write random shapes of these classes as root/modelnet40_ply_hdf5_2048/NAME.h5 for every name."""
    random = np.random.default_rng(seed)
    folder = root / "modelnet40_ply_hdf5_2048"
    folder.mkdir(parents=True)
    for name, of_file in labels.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            data = random.normal(0, 0.3, (len(of_file), points, 3)).astype(np.float32)
            file.create_dataset("data", data=data, compression="gzip")
            file.create_dataset("label", data=np.array(of_file, np.uint8)[:, None], compression="gzip")
    return root


BOX = """8 6 0
0 0 0
{x} 0 0
{x} {y} 0
0 {y} 0
0 0 {z}
{x} 0 {z}
{x} {y} {z}
0 {y} {z}
4 0 3 2 1
4 4 5 6 7
4 0 1 5 4
4 2 3 7 6
4 1 2 6 5
4 3 0 4 7
"""


def write_box(root: Path, name: str, split: str, size: tuple[float, float, float], header: str = "OFF\n") -> Path:
    """Write a box with a corner in the origin as root/ModelNet40/CLASS/SPLIT/NAME.off, and return that file's path."""
    path = root / "ModelNet40" / name.rpartition("_")[0] / split / f"{name}.off"
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y, z = size
    path.write_text(header + BOX.format(x=x, y=y, z=z))
    return path
