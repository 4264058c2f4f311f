"""ImageNet's 1000 classes (ILSVRC 2012), read from folders of images named by their synset."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from datamodules.batch import ImageBatch
from datamodules.content import files_sha256
from datamodules.image_tree import ImageFile, read_image, read_tree
from datamodules.location import how_to_choose, reading
from datamodules.sampler import RankStridedSampler
from datamodules.samples_datamodule import ImageDataModule, require_positive

_CLASSES = Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8")
_LISTED = [line.split(" ", 1) for line in _CLASSES.splitlines()]
SYNSETS: tuple[str, ...] = tuple(synset for synset, _ in _LISTED)
"""The 1000 synsets in the order of the class indices, which is alphabetical."""

FOLDERS = {"test": "val", "train": "train"}
_OBTAIN = (
    "Get ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz from https://image-net.org (free account); "
    "torchvision.datasets.ImageNet(root, split='val') unpacks both into root/val, with one folder per synset."
)


class ImageNetDataModule(ImageDataModule):
    """Images of 1000 classes: the shorter side is resized to 256 pixels (bilinear), and the central 224 x 224 cut out.

    Labels are always indices of the official 1000 classes, even if some synsets are absent on disk. Sample ids are
    folder and file name without the ending, such as "n01440764/ILSVRC2012_val_00000293". The subset starts with the
    first image of every class, then the second of every class, and so on, so that a `limit` covers the classes evenly.

    Args:
        data_root: The folder with `val` (and `train`). None: `$LGM_BENCH_DATA/imagenet`, else `./data/imagenet`.
        batch_size: Images per batch and process.
        limit: Number of images to use, the first ones of the subset; None: all.
        subset: "test" (the images in `val`) or "train" (those in `train`, resized and cropped in the same way).
        num_workers: Number of processes that decode images; 0: this process does.

    Raises:
        ConfigError: batch_size or limit is below 1, num_workers below 0, or the subset is unknown.
    """

    name = "imagenet"
    num_classes = 1000
    class_names = tuple(name for _, name in _LISTED)
    subsets = tuple(FOLDERS)
    synsets: Sequence[str] = SYNSETS
    shorter_side, crop = 256, 224

    def __init__(
        self,
        data_root: Path | str | None = None,
        batch_size: int = 32,
        limit: int | None = None,
        subset: str = "test",
        num_workers: int = 0,
    ) -> None:
        super().__init__(data_root, batch_size, limit, subset)
        if num_workers:
            require_positive("num_workers", num_workers)
        self.num_workers = num_workers
        self._files: list[ImageFile] | None = None

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002
        """List the subset's images without opening any.

        Raises:
            DataError: There are no images, or the folders are not synsets with images.
        """
        self._listed()

    def list_files(self, subset: str) -> list[ImageFile]:
        """List the images of any subset without opening any; raises as `setup` does."""
        with reading(self.name):
            return read_tree(self.data_root / FOLDERS[subset], self.synsets, self.remedy())

    def remedy(self) -> str:
        """Return how to get the data, for error messages."""
        return f"{_OBTAIN} {how_to_choose(self.name)}"

    def subset_ids(self) -> list[str]:
        return [file.sample_id for file in self._listed()]

    def content_sha256(self) -> str:
        files = self._listed()[: len(self.sample_ids())]
        return files_sha256(self.data_root, (((file.sample_id, file.label), (file.path,)) for file in files))

    def test_dataloader(self) -> DataLoader[tuple[torch.Tensor, int, str]]:
        """Return this process's share of the subset's images that are not done, in order.

        Raises:
            DataError: During iteration, an image cannot be decoded; the message names its file.
        """
        return self.loader(self._listed(), self.test_sampler())

    def loader(self, files: list[ImageFile], sampler: RankStridedSampler) -> DataLoader[tuple[torch.Tensor, int, str]]:
        """Return resized and cropped images in the order of a sampler."""
        return DataLoader(
            ImageFiles(files, self.shorter_side, self.crop),
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=collate,
        )

    def _listed(self) -> list[ImageFile]:
        if self._files is None:
            self._files = self.list_files(self.subset)
        return self._files


class ImageFiles(Dataset[tuple[torch.Tensor, int, str]]):
    """Image files as ((3, crop, crop) float32 in [0, 1], class index, sample id).

    Args:
        files: The files.
        shorter_side: Length in pixels that the shorter side of each image is resized to.
        crop: Side length in pixels of the central square that is cut out.
    """

    def __init__(self, files: list[ImageFile], shorter_side: int, crop: int) -> None:
        self.files = files
        # On PIL images, as for the published networks; tensors would be resized by another algorithm.
        resize = transforms.Resize(shorter_side, interpolation=transforms.InterpolationMode.BILINEAR)
        self.prepare = transforms.Compose([resize, transforms.CenterCrop(crop)])
        self.to_tensor = transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, str]:
        file = self.files[index]
        return self.to_tensor(self.picture(index)), file.label, file.sample_id

    def picture(self, index: int) -> Image.Image:
        """Return an image as RGB, resized and cropped."""
        prepared: Image.Image = self.prepare(read_image(self.files[index].path))
        return prepared


def collate(samples: list[tuple[torch.Tensor, int, str]]) -> ImageBatch:
    """Combine samples to one batch."""
    images, labels, ids = zip(*samples, strict=True)
    return ImageBatch(torch.stack(images), torch.tensor(labels), list(ids))
