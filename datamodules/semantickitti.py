"""SemanticKITTI (Behley et al. 2019): labelled LiDAR scans of streets."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datamodules.batch import IGNORED
from datamodules.location import how_to_choose, matching, regular_file
from datamodules.point_datamodule import PointDataModule
from datamodules.scene import AGAIN, Augmentation, Scene, require_as_many, require_within
from lgm_bench.errors import DataError
from lgm_bench.voxels.grid import HIGH, LOW

CLASSES = (
    "unlabeled",
    "car",
    "bicycle",
    "motorcycle",
    "truck",
    "other-vehicle",  # Table X calls it bus
    "person",
    "bicyclist",
    "motorcyclist",
    "road",
    "parking",
    "sidewalk",
    "other-ground",
    "building",
    "fence",
    "vegetation",
    "trunk",
    "terrain",
    "pole",
    "traffic-sign",
)
RAW_TO_CLASS = {
    0: "unlabeled",
    1: "unlabeled",  # outlier
    10: "car",
    11: "bicycle",
    13: "other-vehicle",  # bus
    15: "motorcycle",
    16: "other-vehicle",  # on rails
    18: "truck",
    20: "other-vehicle",
    30: "person",
    31: "bicyclist",
    32: "motorcyclist",
    40: "road",
    44: "parking",
    48: "sidewalk",
    49: "other-ground",
    50: "building",
    51: "fence",
    52: "unlabeled",  # other structure
    60: "road",  # lane marking
    70: "vegetation",
    71: "trunk",
    72: "terrain",
    80: "pole",
    81: "traffic-sign",
    99: "unlabeled",  # other object
    # Ids from 252 on are moving objects.
    252: "car",
    253: "bicyclist",
    254: "person",
    255: "motorcyclist",
    256: "other-vehicle",  # on rails
    257: "other-vehicle",  # bus
    258: "truck",
    259: "other-vehicle",
}
"""The official map from the 34 annotated ids to the 19 classes of the benchmark, or to "unlabeled"."""

_UNKNOWN = -1
SEQUENCES = {"test": ("08",), "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10")}
"""The official validation sequence, which is the subset "test", and the training sequences."""

_BYTES_PER_POINT = 16  # x, y, z, reflectance, float32 each
_OBTAIN = (
    "Get the KITTI odometry velodyne scans (data_odometry_velodyne.zip, https://www.cvlibs.net/datasets/kitti) and "
    "the labels (data_odometry_labels.zip, https://semantic-kitti.org), and unpack both in one folder."
)


_CLASS_OF_RAW = np.full(1 << 16, _UNKNOWN, np.int64)
for _raw, _name in RAW_TO_CLASS.items():
    _CLASS_OF_RAW[_raw] = IGNORED if _name == "unlabeled" else CLASSES.index(_name)


class SemanticKITTIDataModule(PointDataModule):
    """Scans of about 120,000 points in metres with their reflectance, and one of 19 classes per point.

    Sample ids are sequence and scan, such as "08/000123". Unlabelled points are `IGNORED`, although the networks have a
    logit for them (class 0). Sequences that are not on disk are left out.

    `data_root` is the folder with `dataset/sequences/SS/{velodyne,labels}`, or this `dataset` folder itself. Subsets:
    "test" is the official validation sequence 08; "train" is sequences 00-07, 09 and 10; "holdout" is the last scan of
    each training sequence with several scans. For arguments and errors see `PointDataModule`.
    """

    name = "semantickitti"
    task = "segmentation"
    num_classes = 20
    class_names = CLASSES
    ignored_classes = (0,)
    subsets = ("test", "train", "holdout")
    augmentation = Augmentation(rotation=math.pi, flips=(0, 1), scaling=0.05, jitter=0.01)
    prepares = False

    @property
    def sequences(self) -> Path:
        """The folder of the sequences; it need not exist."""
        inside = self.data_root / "sequences"
        return inside if inside.is_dir() else self.data_root / "dataset" / "sequences"

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset's scans, sorted by sequence and number.

        Raises:
            DataError: None of the subset's sequences is on disk.
        """
        wanted = SEQUENCES["test" if subset == "test" else "train"]
        scans = {name: matching(self.sequences / name / "velodyne", "*.bin") for name in wanted}
        if not any(scans.values()):
            named = f"sequence{'s' * (len(wanted) > 1)} {', '.join(wanted)}"
            raise DataError(
                f"no scans of SemanticKITTI's {named} ({subset}) in {self.sequences}; expected files "
                f"{wanted[0]}/velodyne/*.bin. {_OBTAIN} {how_to_choose(self.name)}"
            )
        if subset == "holdout":
            scans = {name: paths[-1:] if len(paths) > 1 else [] for name, paths in scans.items()}
        return [f"{name}/{path.stem}" for name, paths in scans.items() for path in paths]

    def file(self, scene_id: str) -> Path:
        """Return the file of a scan: sequences/08/velodyne/000123.bin for "08/000123"."""
        sequence, scan = scene_id.split("/")
        return self.sequences / sequence / "velodyne" / f"{scan}.bin"

    def sources(self, scene_id: str) -> Sequence[Path]:
        path = self.file(scene_id)
        return path, path.parent.parent / "labels" / f"{path.stem}.label"

    def read(self, scene_id: str) -> Scene:
        """Read a scan.

        Raises:
            DataError: A file is missing or truncated, the numbers of points and labels differ, a label is unknown, a
                reflectance is not in [0, 1], or all points lie outside the networks' grid.
        """
        path, label_path = self.sources(scene_id)
        values = _from_file(path, np.dtype("<f4"), _BYTES_PER_POINT).reshape(-1, 4)
        raw = _from_file(label_path, np.dtype("<u4"), 4)
        require_as_many(len(values), len(raw), path, label_path)
        semantic = raw & 0xFFFF  # the upper 16 bits hold the instance
        labels = _CLASS_OF_RAW[semantic]
        if (labels == _UNKNOWN).any():
            place = int(np.flatnonzero(labels == _UNKNOWN)[0])
            raise DataError(f"{label_path}: label {place} has the unknown id {semantic[place]}. {AGAIN}")
        require_within(values[:, 3:], 0, 1, path, "reflectance")
        _require_some_near(values[:, :3], path)
        return Scene(values[:, :3], values[:, 3:], labels)


def _require_some_near(points: np.ndarray, path: Path) -> None:
    """Raise DataError if all points lie outside Cylinder3D's grid; a few may, and count for its border cells."""
    (_, _, lowest), (farthest, _, highest) = LOW, HIGH
    rho, z = np.hypot(points[:, 0], points[:, 1]), points[:, 2]
    outside = (rho > farthest) | (z < lowest) | (z > highest)  # False for NaN, which `check_scene` reports
    if len(points) and outside.all():
        raise DataError(
            f"{path}: all {len(points)} points lie outside the grid ({farthest:g} m around the sensor, {lowest:g} to "
            f"{highest:g} m high); the first is {points[0].tolist()}. Coordinates must be metres from the sensor."
        )


def _from_file(path: Path, dtype: np.dtype, record: int) -> np.ndarray:
    try:
        content = regular_file(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}. {_OBTAIN}") from error
    if len(content) % record:
        raise DataError(f"{path} is truncated: its size, {len(content)} bytes, is not a multiple of {record}. {AGAIN}")
    return np.frombuffer(content, dtype)
