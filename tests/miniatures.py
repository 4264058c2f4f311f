"""Tiny generated data sets in the official on-disk layouts."""

import pickle
from pathlib import Path

import numpy as np
from PIL import Image

CIFAR_FOLDER = "cifar-10-batches-py"


def write_cifar10(root: Path, train: int = 40, test: int = 12, seed: int = 0) -> Path:
    """Write CIFAR-10 batches of random images below `root`; a fifth of the training images each. Read: verify=False."""
    folder = root / CIFAR_FOLDER
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    sizes = {f"data_batch_{number}": train // 5 for number in range(1, 6)} | {"test_batch": test}
    for name, size in sizes.items():
        labels = random.integers(0, 10, size).tolist()
        pixels = random.integers(0, 256, (size, 3072), dtype=np.uint8)
        dump({"batch_label": name, "labels": labels, "data": pixels, "filenames": ["x.png"] * size}, folder / name)
    dump({"num_cases_per_batch": test, "label_names": list("abcdefghij"), "num_vis": 3072}, folder / "batches.meta")
    return root


def dump(value: object, path: Path) -> None:
    with path.open("wb") as file:
        pickle.dump(value, file, protocol=2)


def write_imagenet(root: Path, files: list[str], size: tuple[int, int] = (40, 30), seed: int = 0) -> Path:
    """Write random images of `size` (width, height) as root/val/FILE for every "synset/name.ending"."""
    random = np.random.default_rng(seed)
    for name in files:
        path = root / "val" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)
    return root
