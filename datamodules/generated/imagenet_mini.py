"""Handwritten digits in ImageNet's layout: JPEG files in folders of synsets; no download needed."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from datamodules.batch import ImageBatch
from datamodules.generated.digits import HOLDOUT_PER_CLASS, SIDE, enlarged, split_digits
from datamodules.generated.miniature import ensure_part
from datamodules.image_tree import ImageFile
from datamodules.imagenet import FOLDERS, ImageFiles, ImageNetDataModule
from datamodules.loaders import ShuffledLoader, training_loader
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
"""The synsets of the digits in WordNet 3.0; ImageNet's folders have such names."""

WIDTH, HEIGHT, FACTOR = 160, 128, 14  # the central crop contains only the digit, 112 x 112 pixels
QUALITY = 95


class ImageNetMiniDataModule(ImageNetDataModule):
    """Handwritten digits (Alpaydin & Kaynak 1998, CC BY 4.0) as JPEG files: 1,297 to train on, 500 to test on.

    The grey 8 x 8 images are enlarged and centred in a black image of 160 x 128 pixels. They are written once, in
    ImageNet's layout, to `$LGM_BENCH_CACHE` or the user's cache folder, and read from there like ImageNet, with all
    lengths divided by four: the shorter side is resized to 64 pixels, and the central 56 x 56 cut out. Damaged files
    are written again.

    A subset starts with the first image of every class, then the second of every class, and so on. The subset "holdout"
    contains the last 20 training images of each class. Digits are not mirrored in training.

    Args:
        data_root: Ignored, since the images ship with the package.
        batch_size: Images per batch and process.
        limit: Number of images to use, the first ones of the subset; None: all.
        subset: "test", "train" or "holdout".
        num_workers: Number of processes that decode images; 0: this process does.
        seed: Determines, with the epoch, order and shifts in training.
    """

    name = "imagenet-mini"
    num_classes = len(SYNSETS)
    class_names = tuple(SYNSETS.values())
    subsets = (*FOLDERS, "holdout")
    synsets = tuple(SYNSETS)
    shorter_side, crop = 64, 56

    def __init__(
        self,
        data_root: Path | str | None = None,
        batch_size: int = 32,
        limit: int | None = None,
        subset: str = "test",
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(data_root, batch_size, limit, subset, num_workers)
        self.seed = seed

    def folder(self, data_root: Path | str | None) -> Path:  # noqa: ARG002
        return cache_folder("imagenet-mini-v1")

    def prepare_data(self) -> None:
        """Write the subset's files if any is missing or damaged; Lightning calls this in one process.

        Raises:
            DataError: They cannot be written, or another run has locked them.
        """
        self._ensure(train=self.subset != "test")

    def setup(self, stage: str | None = None) -> None:
        """List the training images (to fit and validate) or the subset's images (to test).

        Raises:
            DataError: The files cannot be written.
        """
        self.list_files("train" if stage in ("fit", "validate") else self.subset)

    def list_files(self, subset: str) -> list[ImageFile]:
        """Return the files of a subset after writing them if necessary."""
        self._ensure(train=subset != "test")
        if subset == "holdout":
            return self._training_files(held_out=True)
        return super().list_files(subset)

    def remedy(self) -> str:
        """Return what to do about files that this class did not generate."""
        return f"Remove {self.data_root}; the images are then generated again."

    def _training_files(self, *, held_out: bool) -> list[ImageFile]:
        """Return the held-out training images, which are the last ones of each class, or the others."""
        files = self.list_files("train")
        remaining = Counter(file.label for file in files)
        chosen = []
        for file in files:
            if (remaining[file.label] <= HOLDOUT_PER_CLASS) == held_out:
                chosen.append(file)
            remaining[file.label] -= 1
        return chosen

    def train_dataloader(self) -> ShuffledLoader[ImageBatch]:
        """Decode the training images that are not held out, and return shuffled, shifted batches of them."""
        files = self._training_files(held_out=False)
        images = ImageFiles(files, self.shorter_side, self.crop)
        pixels = torch.stack([torch.from_numpy(np.array(images.picture(index))) for index in range(len(images))])
        order = ShuffledSampler(len(files), self.seed, *rank_and_world())
        labels, ids = torch.tensor([file.label for file in files]), [file.sample_id for file in files]
        return training_loader(pixels, labels, ids, order, self.batch_size, flip=False)

    def val_dataloader(self) -> DataLoader[tuple[torch.Tensor, int, str]]:
        """Return this process's share of the held-out training images, in order and unchanged."""
        files = self.list_files("holdout")
        return self.loader(files, RankStridedSampler(len(files), *rank_and_world()))

    def _ensure(self, *, train: bool) -> None:
        ensure_part(self.data_root, "train" if train else "test", lambda: tree_files(train=train))


def tree_files(*, train: bool) -> Iterator[tuple[str, bytes]]:
    """Yield the digits of one split as JPEG files with ImageNet's names, in one folder per synset."""
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
