"""Handwritten digits as ImageNet: JPEG files in folders of synsets, without a download."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from datamodules.generated.digits import HOLDOUT_PER_CLASS, SIDE, enlarged, split_digits
from datamodules.generated.miniature import ensure_part
from datamodules.image_tree import ImageFile
from datamodules.imagenet import FOLDERS, ImageFiles, ImageNetDataModule
from datamodules.loaders import TrainingLoader
from datamodules.sampler import RankStridedSampler, ShuffledSampler, rank_and_world
from lgm_bench.files import cache_folder

SYNSETS = {
    "n13742358": "zero",
    "n13742573": "one",
    "n13743269": "two",
    "n13744044": "three",
    "n13744304": "four",
    "n13744521": "five",
    "n13744722": "six",
    "n13744916": "seven",
    "n13745086": "eight",
    "n13745270": "nine",
}
"""The digits' synsets in WordNet 3.0, which ImageNet's folders are named after."""

WIDTH, HEIGHT, FACTOR = 160, 128, 14  # the central crop leaves the digit alone, 112 x 112 pixels
QUALITY = 95


class ImageNetMiniDataModule(ImageNetDataModule):
    """Handwritten digits (Alpaydin & Kaynak 1998, CC BY 4.0) as JPEG files: 1,297 to train on, 500 to test on.

    The grey 8 x 8 images are enlarged and set in the middle of a black image of 160 x 128 pixels. They are written
    once, in ImageNet's layout, to `$LGM_BENCH_CACHE`, else the user's cache folder, and are read from there as ImageNet
    is, with all lengths divided by four: the shorter side resized to 64 pixels, the central 56 x 56 cut out. Damaged
    files are written again.

    The first images are one of each class, then the second of each class, and so on. The subset "holdout" has the last
    20 training images of each class. Digits are not mirrored in training.

    Args:
        data_root: Ignored, since the images come with the package; every data set takes one.
        seed: Determines, with the epoch, order and shifts in training.
        options: Those of `ImageNetDataModule`.
    """

    name = "imagenet-mini"
    num_classes = len(SYNSETS)
    class_names = tuple(SYNSETS.values())
    subsets = (*FOLDERS, "holdout")
    synsets = tuple(SYNSETS)
    shorter_side, crop = 64, 56

    def __init__(self, data_root: Path | str | None = None, seed: int = 0, **options: Any) -> None:  # noqa: ARG002
        super().__init__(cache_folder("imagenet-mini-v1"), **options)
        self.seed = seed

    def prepare_data(self) -> None:
        """Write the subset's files, in one process, where they are missing or damaged.

        Raises:
            DataError: They cannot be written, or another run keeps them locked.
        """
        self._ensure(train=self.subset != "test")

    def setup(self, stage: str | None = None) -> None:
        """Find the training images to fit and validate, the subset's to test.

        Raises:
            DataError: The files cannot be written.
        """
        self.list_files("train" if stage in ("fit", "validate") else self.subset)

    def list_files(self, subset: str) -> list[ImageFile]:
        """Return the files of a subset; they are written first if need be."""
        self._ensure(train=subset != "test")
        if subset != "holdout":
            return super().list_files(subset)
        fitted = set(self.training_files())
        return [file for file in super().list_files("train") if file not in fitted]

    def remedy(self) -> str:
        """Return what to do about files that were not generated here."""
        return f"Remove {self.data_root}: these images are generated again."

    def training_files(self) -> list[ImageFile]:
        """Return the training images but the held-out ones."""
        files = self.list_files("train")
        of_class, seen = Counter(file.label for file in files), Counter[int]()
        kept = []
        for file in files:
            seen[file.label] += 1
            if seen[file.label] <= of_class[file.label] - HOLDOUT_PER_CLASS:
                kept.append(file)
        return kept

    def train_dataloader(self) -> TrainingLoader:
        """Return shuffled, shifted batches of the training images but the held-out ones, decoded once."""
        files = self.training_files()
        images = ImageFiles(files, self.shorter_side, self.crop)
        pixels = torch.stack([torch.from_numpy(np.array(images.picture(index))) for index in range(len(images))])
        sampler = ShuffledSampler(len(files), self.seed, *rank_and_world())
        labels, ids = torch.tensor([file.label for file in files]), [file.sample_id for file in files]
        return TrainingLoader(pixels, labels, ids, sampler, self.batch_size, flip=False)

    def val_dataloader(self) -> DataLoader[tuple[torch.Tensor, int, str]]:
        """Return this process's share of the held-out training images, in order and as they are."""
        files = self.list_files("holdout")
        return self.loader(files, RankStridedSampler(len(files), *rank_and_world()))

    def _ensure(self, *, train: bool) -> None:
        ensure_part(self.data_root, "train" if train else "test", lambda: tree_files(train=train))


def tree_files(*, train: bool) -> Iterator[tuple[str, bytes]]:
    """Yield the digits of one split as JPEG files with ImageNet's names, one folder a synset."""
    images, labels = split_digits()[train]
    counts = Counter[int]()
    left, top = (WIDTH - SIDE * FACTOR) // 2, (HEIGHT - SIDE * FACTOR) // 2
    for number, (digit, label) in enumerate(zip(enlarged(images, FACTOR), labels.tolist(), strict=True), start=1):
        synset = list(SYNSETS)[label]
        counts[label] += 1
        file = f"{synset}_{counts[label]:05d}" if train else f"ILSVRC2012_val_{number:08d}"
        picture = Image.new("L", (WIDTH, HEIGHT))
        picture.paste(Image.fromarray(digit), (left, top))
        content = io.BytesIO()
        picture.save(content, "JPEG", quality=QUALITY)
        yield f"{FOLDERS['train' if train else 'test']}/{synset}/{file}.JPEG", content.getvalue()
