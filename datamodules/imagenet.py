"""ImageNet's 1000 classes (ILSVRC 2012), from folders of images named by their synset."""

from pathlib import Path

import torch
from timm.data.imagenet_info import ImageNetInfo
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from datamodules.batch import ImageBatch
from datamodules.image_datamodule import ImageDataModule
from datamodules.image_tree import ImageFile, read_image, read_tree
from datamodules.location import how_to_choose
from datamodules.samples_datamodule import require_positive

_INFO = ImageNetInfo()
SYNSETS: tuple[str, ...] = tuple(_INFO.label_names())  # type: ignore[no-untyped-call]
"""The 1000 synsets in the official order, which is the sorted one: a synset's place is its class index."""

_FOLDERS = {"test": "val", "train": "train"}
_OBTAIN = (
    "Get ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz from https://image-net.org (free account); "
    "torchvision.datasets.ImageNet(root, split='val') unpacks the two into root/val, one folder a synset."
)


class ImageNetDataModule(ImageDataModule):
    """Images of 1000 classes, the shorter side resized to 256 pixels (bilinear), the central 224 x 224 cut out.

    Any of the 1000 synsets may be absent: labels are places among the official 1000. Ids are folder and file name
    without its ending, "n01440764/ILSVRC2012_val_00000293". The first image of every class comes first, then the
    second of every class, and so on, so that a `limit` takes classes evenly.

    Args:
        data_root: Folder with `val` (and `train`). None: `$LGM_BENCH_DATA/imagenet`, else `./data/imagenet`.
        batch_size: Images per batch and process.
        limit: Only the first so many images of the subset; None: all.
        subset: "test", the images in `val`; "train", those in `train`, prepared in the same way.
        num_workers: Processes that decode images; 0: this one.

    Raises:
        ConfigError: batch_size or limit is below 1, num_workers below 0, or the subset is unknown.
    """

    name = "imagenet"
    num_classes = 1000
    class_names = tuple(_INFO.index_to_description(index) for index in range(1000))
    subsets = tuple(_FOLDERS)

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
        """List the subset's images; none is opened yet.

        Raises:
            DataError: There are no images, or something else than folders of images named by synsets.
        """
        self._listed()

    def subset_ids(self) -> list[str]:
        """Return the ids of all of the subset's images in order."""
        return [file.sample_id for file in self._listed()]

    def test_dataloader(self) -> DataLoader[tuple[torch.Tensor, int, str]]:
        """Return this process's share of the subset's images that are not done, in order.

        Raises:
            DataError: On iteration, an image cannot be decoded; its file is named.
        """
        return DataLoader(
            ImageFiles(self._listed()),
            batch_size=self.batch_size,
            sampler=self.test_sampler(),
            num_workers=self.num_workers,
            collate_fn=collate,
        )

    def _listed(self) -> list[ImageFile]:
        if self._files is None:
            folder = self.data_root / _FOLDERS[self.subset]
            self._files = read_tree(folder, SYNSETS, remedy=f"{_OBTAIN} {how_to_choose(self.name)}")
        return self._files


class ImageFiles(Dataset[tuple[torch.Tensor, int, str]]):
    """Image files as ((3, 224, 224) float32 in [0, 1], class index, sample id)."""

    def __init__(self, files: list[ImageFile]) -> None:
        self.files = files
        # On PIL images: tensors would be resized by another algorithm than the one the published networks saw.
        self.prepare = transforms.Compose(
            [
                transforms.Resize(256, interpolation=transforms.InterpolationMode.BILINEAR),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, str]:
        file = self.files[index]
        return self.prepare(read_image(file.path)), file.label, file.sample_id


def collate(samples: list[tuple[torch.Tensor, int, str]]) -> ImageBatch:
    """Return samples as one batch, channels_last in memory."""
    images, labels, ids = zip(*samples, strict=True)
    stacked = torch.stack(images).contiguous(memory_format=torch.channels_last)
    return ImageBatch(stacked, torch.tensor(labels), list(ids))
