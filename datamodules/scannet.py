"""ScanNet v2 (Dai et al. 2017): 3-D scans of rooms."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datamodules.batch import IGNORED
from datamodules.location import THINNED, how_to_choose
from datamodules.ply import points_and_colours, read_vertices
from datamodules.point_datamodule import PointDataModule
from datamodules.samples_datamodule import require_holdout
from datamodules.scene import Augmentation, Scene, require_as_many
from lgm_bench.errors import ConfigError, DataError

NYU_IDS = {
    1: "wall",
    2: "floor",
    3: "cabinet",
    4: "bed",
    5: "chair",
    6: "sofa",
    7: "table",
    8: "door",
    9: "window",
    10: "bookshelf",
    11: "picture",
    12: "counter",
    14: "desk",
    16: "curtain",
    24: "refrigerator",
    28: "shower curtain",
    33: "toilet",
    34: "sink",
    36: "bathtub",
    39: "otherfurniture",
}
"""The 20 classes of the benchmark by their NYU id (1 to 40), in the order of the networks' logits."""

_LAST_NYU_ID = 40
_RGB = ("red", "green", "blue")
_SUSPICIOUS = 0.05  # share of points whose label and colour disagree, above which a warning is logged
_COLOURS = (
    (174, 199, 232), (152, 223, 138), (31, 119, 180), (255, 187, 120), (188, 189, 34),
    (140, 86, 75), (255, 152, 150), (214, 39, 40), (197, 176, 213), (148, 103, 189),
    (196, 156, 148), (23, 190, 207), (247, 182, 210), (219, 219, 141), (255, 127, 14),
    (158, 218, 229), (44, 160, 44), (112, 128, 144), (227, 119, 194), (82, 84, 163),
)  # fmt: skip
"""The colour of each class in the official label files, in the order of `NYU_IDS`."""

_OFFICIAL_FAULTS = {"scene0270_00": 50, "scene0270_02": 50, "scene0384_00": 149}
"""Invalid ids in the distributed scans. Points with these ids count as unlabelled."""

_LISTS = {"test": "scannetv2_val.txt", "train": "scannetv2_train.txt"}
_OBTAIN = (
    "Get the *_vh_clean_2.ply and *_vh_clean_2.labels.ply of the scans from http://www.scan-net.org (after signing the "
    "terms of use), and the split lists from https://github.com/ScanNet/ScanNet (Tasks/Benchmark)."
)
_log = logging.getLogger(__name__)


_CLASS_OF_NYU = np.full(_LAST_NYU_ID + 1, IGNORED, np.int64)
_CLASS_OF_NYU[list(NYU_IDS)] = np.arange(len(NYU_IDS))


class ScanNetDataModule(PointDataModule):
    """Scans of rooms: points in metres as stored in the file, colours in [0, 1], and one of 20 classes per point.

    The reader accepts the official scans (`scans/SCENE/SCENE_vh_clean_2.ply` with `SCENE_vh_clean_2.labels.ply`), and
    the preprocessed scans of the published runs (`SCENE.ply` with a `label` per vertex). Labels in the files are NYU
    ids; points of other classes are `IGNORED`. Sample ids are the names of the scenes, such as "scene0011_00".

    `data_root` is the folder with `scans`, or with the preprocessed .ply. The split lists `scannetv2_train.txt` and
    `scannetv2_val.txt` are expected in it or beside it. Subsets: "test" is the official validation list, "train" the
    training list, and "holdout" its last scans. For the other arguments and errors see `PointDataModule`.

    Args:
        holdout: Number of training scans to hold out, the last ones of the list; None: `default_holdout`.
    """

    name = "scannet"
    task = "segmentation"
    num_classes = len(NYU_IDS)
    class_names = tuple(NYU_IDS.values())
    subsets = ("test", "train", "holdout")
    augmentation = Augmentation(scaling=0.1)
    default_holdout = 50

    def __init__(
        self,
        data_root: Path | str | None = None,
        batch_size: int = 1,
        limit: int | None = None,
        subset: str = "test",
        seed: int = 0,
        holdout: int | None = None,
    ) -> None:
        super().__init__(data_root, batch_size, limit, subset, seed)
        self.holdout = self.default_holdout if holdout is None else holdout
        require_holdout(self.holdout, subset, "scans")

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset's scans in the order of the official list.

        Raises:
            DataError: The list is missing or empty, or one of its scans is not on disk.
            ConfigError: All training scans would be held out.
        """
        path = self._list_path(_LISTS["test" if subset == "test" else "train"])
        lines = path.read_text(encoding="utf-8-sig", errors="replace").split()
        ids = [Path(line).stem for line in lines]  # the published runs list paths: "train/scene0000_00.ply"
        if not ids:
            raise DataError(f"{path} lists no scans. {_OBTAIN}")
        if subset == "holdout":
            ids = held_out(ids, self.holdout, path)
        needed = ids[: self.limit] if subset == self.subset else ids
        missing = [scene_id for scene_id in needed if not self.file(scene_id).is_file()]
        if missing:
            raise DataError(
                f"{len(missing)} of the {len(needed)} scans listed in {path} are missing, the first of them "
                f"{self.file(missing[0])}. To use only some scans, shorten this list or set a limit (--limit). "
                f"{_OBTAIN} {how_to_choose(self.name)}"
            )
        return ids

    def file(self, scene_id: str) -> Path:
        """Return the .ply file with the points of a scan: the official file, else the preprocessed one."""
        official = self._scans / scene_id / f"{scene_id}_vh_clean_2.ply"
        places = [official, *(self.data_root / folder / f"{scene_id}.ply" for folder in (".", "train"))]
        return next((path for path in places if path.is_file()), official)

    def sources(self, scene_id: str) -> Sequence[Path]:
        path = self.file(scene_id)
        return (path, path.with_suffix(".labels.ply")) if path.parent.name == scene_id else (path,)

    def read(self, scene_id: str) -> Scene:
        """Read a scan.

        Raises:
            DataError: A file is missing, truncated or lacks properties; the numbers of points and labels differ; or a
                label is not an NYU id.
        """
        path, *beside = self.sources(scene_id)
        names = ["x", "y", "z", *_RGB]
        vertices = read_vertices(path, names if beside else [*names, "label"], _OBTAIN)
        points, colours = points_and_colours(vertices, path)
        labels_path = beside[0] if beside else path
        labelled = read_vertices(labels_path, ["label"], _OBTAIN, optional=_RGB) if beside else vertices
        nyu = labelled["label"]
        if beside and all(name in labelled for name in _RGB):
            _warn_of_other_colours(nyu, np.stack([labelled[name] for name in _RGB], 1), labels_path)
        require_as_many(len(points), len(nyu), path, labels_path)
        return Scene(points, colours, _classes(nyu, labels_path, scene_id))

    @property
    def _scans(self) -> Path:
        inside = self.data_root / "scans"
        return inside if inside.is_dir() else self.data_root

    def _list_path(self, name: str) -> Path:
        folders = [self.data_root, self.data_root / "scans", self.data_root / "Tasks/Benchmark", self.data_root.parent]
        paths = [folder / name for folder in folders if (folder / name).is_file()]
        if not paths:
            raise DataError(f"no list {name} in {self.data_root} or beside it. {_OBTAIN} {how_to_choose(self.name)}")
        return paths[0]


class ThinnedScanNetDataModule(ScanNetDataModule):
    """The same scans with one point per cubic centimetre, as in the released runs."""

    name = f"scannet{THINNED}"
    spacing = 0.01


def held_out(ids: list[str], holdout: int, where: Path) -> list[str]:
    """Return the last `holdout` training ids.

    Raises:
        ConfigError: All ids would be held out.
    """
    if holdout >= len(ids):
        raise ConfigError(f"holdout {holdout} leaves none of the {len(ids)} training scenes of {where}; lower it")
    return ids[len(ids) - holdout :]


def _warn_of_other_colours(nyu: np.ndarray, colours: np.ndarray, path: Path) -> None:
    """Warn if most points have the colour of a class, but many of them a label of another class.

    ScanNet v1 used other ids. Most of these are valid NYU ids too, so only the colours reveal them.
    """
    weights = np.array([1 << 16, 1 << 8, 1])
    nyu_of_colour = dict(zip((np.array(_COLOURS) @ weights).tolist(), NYU_IDS, strict=True))
    codes, place = np.unique(colours.astype(np.int64) @ weights, return_inverse=True)
    shown = np.array([nyu_of_colour.get(code, 0) for code in codes.tolist()])[place]
    wrong = (shown != nyu)[shown > 0]
    if len(wrong) > len(nyu) / 2 and wrong.mean() > _SUSPICIOUS:
        _log.warning(
            "%s: the labels of %.0f %% of the coloured points contradict their colours. They may be ids of ScanNet v1; "
            "use the *_vh_clean_2.labels.ply of ScanNet v2",
            path,
            100 * wrong.mean(),
        )


def _classes(nyu: np.ndarray, path: Path, scene_id: str) -> np.ndarray:
    ids = nyu.astype(np.int64)
    invalid = (ids < 0) | (ids > _LAST_NYU_ID)
    fault = invalid & (ids == _OFFICIAL_FAULTS.get(scene_id, -1))
    wrong = (invalid & ~fault) | (ids != nyu)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{path}: the label of point {place} is {nyu[place]}; NYU ids are 0 to {_LAST_NYU_ID}. Use the "
            "*_vh_clean_2.labels.ply of ScanNet v2."
        )
    if fault.any():
        _log.info("%s: %d points with the faulty label %d are ignored", path, fault.sum(), _OFFICIAL_FAULTS[scene_id])
    return _CLASS_OF_NYU[np.where(fault, 0, ids)]
