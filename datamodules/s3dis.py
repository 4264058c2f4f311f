"""S3DIS (Armeni et al. 2016): six areas of office buildings, room by room."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.augmentation import Augmentation
from datamodules.batch import IGNORED
from datamodules.location import how_to_choose
from datamodules.ply import points_and_colours, read_vertices
from datamodules.point_datamodule import PointDataModule
from datamodules.s3dis_text import read_points
from datamodules.scannet import held_out, require_holdout
from datamodules.scene import AGAIN, Scene
from lgm_bench.errors import DataError

CLASSES = (
    "clutter",
    "beam",
    "board",
    "bookcase",
    "ceiling",
    "chair",
    "column",
    "door",
    "floor",
    "sofa",
    "table",
    "wall",
    "window",
)
"""In the order of the networks' logits (Tao et al. 2024, Table IX)."""

ORDER_IN_NPY = (
    "ceiling",
    "floor",
    "wall",
    "beam",
    "column",
    "window",
    "door",
    "table",
    "chair",
    "sofa",
    "bookcase",
    "board",
    "clutter",
)
ORDER_IN_PLY = (*CLASSES[:10], "stairs", *CLASSES[10:])

_TEST_AREA = "Area_5"
_FOLDERS = ("Stanford3dDataset_v1.2_Aligned_Version", "Stanford3dDataset_v1.2", "stanford_indoor3d", ".")
_NPY = re.compile(r"(Area_\d+)_(\w+)\.npy")
_OBTAIN = (
    "Get Stanford3dDataset_v1.2_Aligned_Version.zip from http://buildingparser.stanford.edu/dataset.html (form to be "
    "filled in) and unpack it there."
)


class Form(NamedTuple):
    """One of the forms in which S3DIS lies on disk: where its rooms are, and how one is read."""

    find: Callable[[Path], list[Path]]
    read: Callable[[Path], Scene]


class S3DISDataModule(PointDataModule):
    """Rooms: points in metres as they are in the file, colours in [0, 1], and a class of 13 for each point.

    Read are the official text files (`Area_N/ROOM/Annotations/CLASS_K.txt`), the usual `Area_N_ROOM.npy` with 7
    columns, or the .ply of the published runs (`Area_N/ROOM.ply`). Stairs are `IGNORED`; objects of classes that are
    not among the 13 are clutter. Ids are area and room, "Area_5_office_1".

    Args:
        data_root: Folder with the areas, or with `Stanford3dDataset_v1.2_Aligned_Version`. None:
            `$LGM_BENCH_DATA/s3dis`, else `./data/s3dis`.
        batch_size: Rooms per batch and process.
        limit: Only the first so many rooms of the subset; None: all.
        subset: "test", area 5; "train", the other areas; "holdout", the last rooms of those.
        holdout: The last so many rooms of the training areas are held out: not trained on, but validated on.
        seed: Determines, with the epoch, order and augmentation in training.

    Raises:
        ConfigError: batch_size or limit is below 1, seed or holdout below 0, or the subset is unknown or empty.
    """

    name = "s3dis"
    task = "segmentation"
    num_classes = len(CLASSES)
    class_names = CLASSES
    subsets = ("test", "train", "holdout")
    augmentation = Augmentation(scaling=0.1)

    def __init__(
        self,
        data_root: Path | str | None = None,
        batch_size: int = 1,
        limit: int | None = None,
        subset: str = "test",
        holdout: int = 20,
        seed: int = 0,
    ) -> None:
        super().__init__(data_root, batch_size, limit, subset, seed)
        require_holdout(holdout, subset, "rooms")
        self.holdout = holdout
        self._rooms: tuple[Form, dict[str, Path]] | None = None

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset's rooms, area after area, by name and number.

        Raises:
            DataError: None of the subset's areas is there.
            ConfigError: No training room is left beside the held-out ones.
        """
        ids = [scene_id for scene_id in self._found()[1] if scene_id.startswith(_TEST_AREA) == (subset == "test")]
        if not ids:
            areas = "Area_5" if subset == "test" else "areas other than Area_5"
            raise DataError(f"no rooms of {areas} ({subset}) in {self.data_root}. {_OBTAIN} {how_to_choose(self.name)}")
        return held_out(ids, self.holdout, self.data_root) if subset == "holdout" else ids

    def file(self, scene_id: str) -> Path:
        """Return a room's file, or its folder of annotations."""
        rooms = self._found()[1]
        if scene_id not in rooms:
            raise DataError(f"no room {scene_id} in {self.data_root}. {_OBTAIN}")
        return rooms[scene_id]

    def sources(self, scene_id: str) -> Sequence[Path]:
        """Return the files that a room is read from."""
        path = self.file(scene_id)
        return _annotations(path) if path.is_dir() else (path,)

    def read(self, scene_id: str) -> Scene:
        """Return a room with its labels.

        Raises:
            DataError: A file is missing, damaged or not in its form.
        """
        return self._found()[0].read(self.file(scene_id))

    def _found(self) -> tuple[Form, dict[str, Path]]:
        """The form that is on disk, and its rooms by their ids."""
        if self._rooms is None:
            for folder in (self.data_root / name for name in _FOLDERS):
                for form in FORMS:
                    rooms = {_room_id(path): path for path in form.find(folder)}
                    if rooms:
                        self._rooms = form, dict(sorted(rooms.items(), key=lambda room: _natural(room[0])))
                        return self._rooms
            raise DataError(
                f"no rooms of S3DIS in {self.data_root}: they were looked for as Area_*/ROOM/Annotations, "
                f"Area_*_ROOM.npy and Area_*/ROOM.ply. {_OBTAIN} {how_to_choose(self.name)}"
            )
        return self._rooms


def read_annotations(folder: Path) -> Scene:
    """Return a room from its official text files, one an object: "chair_3.txt".

    Raises:
        DataError: There is none, or a file cannot be read as "x y z r g b" lines.
    """
    paths = _annotations(folder)
    if not paths:
        raise DataError(f"{folder} holds no objects: they were looked for as CLASS_K.txt. {_OBTAIN}")
    objects = [read_points(path) for path in paths]
    for values, path in zip(objects, paths, strict=True):
        _require_colours(values[:, 3:6], path)
    classes = [_class_of(path.name.partition("_")[0]) for path in paths]
    labels = np.repeat(classes, [len(values) for values in objects])
    return _scene(np.concatenate(objects), labels)


def read_npy(path: Path) -> Scene:
    """Return a room from an array (N, 7): x, y, z, red, green, blue in 0..255, class in `ORDER_IN_NPY`.

    Raises:
        DataError: The file is missing, truncated or another array.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is truncated, damaged or no .npy file: {error}. {AGAIN}") from error
    if values.ndim != 2 or values.shape[1] != 7 or values.dtype.kind not in "fiu":
        raise DataError(
            f"{path} is an array {values.shape} of {values.dtype}, not (N, 7) numbers: x y z r g b label. {AGAIN}"
        )
    _require_colours(values[:, 3:6], path)
    return _scene(values, _mapped(values[:, 6], ORDER_IN_NPY, path))


def read_ply(path: Path) -> Scene:
    """Return a room from a .ply file, its vertices with a `label` in `ORDER_IN_PLY`.

    Raises:
        DataError: The file is missing, truncated or lacks properties.
    """
    vertices = read_vertices(path, ["x", "y", "z", "red", "green", "blue", "label"])
    return Scene(*points_and_colours(vertices), _mapped(vertices["label"], ORDER_IN_PLY, path))


FORMS = (
    Form(lambda folder: [path for path in folder.glob("Area_*/*/Annotations") if path.is_dir()], read_annotations),
    Form(lambda folder: [path for path in folder.glob("Area_*.npy") if _NPY.fullmatch(path.name)], read_npy),
    Form(lambda folder: list(folder.glob("Area_*/*.ply")), read_ply),
)


def _scene(values: np.ndarray, labels: np.ndarray) -> Scene:
    return Scene(values[:, :3].astype(np.float32), (values[:, 3:6] / 255).astype(np.float32), labels)


def _class_of(name: str) -> int:
    if name == "stairs":
        return IGNORED
    return CLASSES.index(name if name in CLASSES else "clutter")


def _mapped(labels: np.ndarray, order: Sequence[str], path: Path) -> np.ndarray:
    wrong = ~np.isin(labels, np.arange(len(order)))
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{path}: the label of point {place} is {labels[place]}, not 0 to {len(order) - 1}. {AGAIN}")
    return np.array([_class_of(name) for name in order])[labels.astype(np.int64)]


def _require_colours(colours: np.ndarray, path: Path) -> None:
    with np.errstate(invalid="ignore"):
        wrong = ((colours < 0) | (colours > 255)).any(1)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        shown = ", ".join(f"{value:g}" for value in colours[place])
        raise DataError(f"{path}: the colour of point {place} is ({shown}), not of 0 to 255. {AGAIN}")


def _annotations(folder: Path) -> list[Path]:
    return sorted(
        (path for path in folder.glob("*_*.txt") if path.name[0] != "."), key=lambda path: _natural(path.name)
    )


def _room_id(path: Path) -> str:
    if path.suffix == ".npy":
        return path.stem
    room = path.parent if path.name == "Annotations" else path
    return f"{room.parent.name}_{room.stem}"


def _natural(name: str) -> list[int | str]:
    """A key that sorts room_10 after room_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
