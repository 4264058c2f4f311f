"""Data sets as LightningDataModules, one per file. A class is imported only when its name is used."""

from typing import TYPE_CHECKING, Any

from lgm_bench.registry import resolve

if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule

DATAMODULES = {
    "cifar10": "datamodules.cifar10:CIFAR10DataModule",
    "digits": "datamodules.generated.digits:DigitsDataModule",
    "imagenet": "datamodules.imagenet:ImageNetDataModule",
    "imagenet-mini": "datamodules.generated.imagenet_mini:ImageNetMiniDataModule",
    "modelnet40": "datamodules.modelnet40:ModelNet40DataModule",
    "modelnet40-mini": "datamodules.generated.modelnet40_mini:ModelNet40MiniDataModule",
    "rooms-s3dis": "datamodules.generated.indoor:RoomsS3DISDataModule",
    "rooms-scannet": "datamodules.generated.indoor:RoomsScanNetDataModule",
    "s3dis": "datamodules.s3dis:S3DISDataModule",
    "s3dis-1cm": "datamodules.s3dis:ThinnedS3DISDataModule",
    "s3dis-mini": "datamodules.generated.indoor:S3DISMiniDataModule",
    "scannet": "datamodules.scannet:ScanNetDataModule",
    "scannet-1cm": "datamodules.scannet:ThinnedScanNetDataModule",
    "scannet-mini": "datamodules.generated.indoor:ScanNetMiniDataModule",
    "semantickitti": "datamodules.semantickitti:SemanticKITTIDataModule",
    "semantickitti-mini": "datamodules.generated.semantickitti_mini:SemanticKITTIMiniDataModule",
}

MARKS: dict[str, tuple[str, ...]] = {
    "cifar10": ("cifar-10-batches-py",),
    "imagenet": ("val",),
    "modelnet40": (
        *("modelnet40_normal_resampled", "modelnet40_ply_hdf5_2048", "ModelNet40"),
        *("*/*_[0-9][0-9][0-9][0-9].txt", "ply_data_*.h5", "*/t*/*.off"),  # if the root is itself one of these folders
    ),
    "s3dis": ("Stanford3dDataset_v1.2_Aligned_Version", "Stanford3dDataset_v1.2", "stanford_indoor3d", "Area_*"),
    "scannet": ("scans", "scannetv2_val.txt", "scene*", "train/scene*.ply"),
    "semantickitti": ("dataset/sequences", "sequences"),
}
"""Patterns that show whether a data set is in a folder without reading it: at least one of them matches."""
MARKS |= {f"{name}-1cm": MARKS[name] for name in ("s3dis", "scannet")}


def load_datamodule(name: str, **options: Any) -> "LightningDataModule":
    """Return a datamodule by its registered name, or by the `package.module:Class` of a user's own.

    Args:
        name: A key of `DATAMODULES`, or `package.module:Class`.
        options: Arguments of the class: `data_root`, `batch_size`, `limit`, `subset` and its own ones.

    Raises:
        UnknownNameError: There is no such data set; the message lists the nearest names.
    """
    datamodule: LightningDataModule = resolve("data set", name, DATAMODULES)(**options)
    return datamodule
