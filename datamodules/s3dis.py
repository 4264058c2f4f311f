"""S3DIS (Armeni et al. 2016): six areas of office buildings, room by room."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datamodules.location import how_to_choose
from datamodules.point_datamodule import PointDataModule
from datamodules.s3dis_forms import CLASSES, FORMS, Form, annotations, natural
from datamodules.samples_datamodule import require_holdout
from datamodules.scannet import held_out
from datamodules.scene import Augmentation, Scene
from lgm_bench.errors import DataError

_TEST_AREA = "Area_5"
_FOLDERS = ("Stanford3dDataset_v1.2_Aligned_Version", "Stanford3dDataset_v1.2", "stanford_indoor3d", ".")
_OBTAIN = (
    "Get Stanford3dDataset_v1.2_Aligned_Version.zip from http://buildingparser.stanford.edu/dataset.html (form to be "
    "filled in) and unpack it there."
)


class S3DISDataModule(PointDataModule):
    """Rooms: points in metres as they are in the file, colours in [0, 1], and a class of 13 for each point.

    Read are the official text files (`Area_N/ROOM/Annotations/CLASS_K.txt`), the usual `Area_N_ROOM.npy` with 7
    columns, or the .ply of the published runs (`Area_N/ROOM.ply`). Stairs are `IGNORED`; objects of classes that are
    not among the 13 are clutter. Ids are area and room, "Area_5_office_1".

    `data_root` is the folder with the areas, or with `Stanford3dDataset_v1.2_Aligned_Version`. Subsets: "test" is area
    5; "train" is the other areas; "holdout" is the last rooms of those. For arguments and errors see `PointDataModule`.

    Args:
        holdout: Number of rooms of the training areas to hold out, the last ones.
        options: Those of `PointDataModule`.
    """

    name = "s3dis"
    task = "segmentation"
    num_classes = len(CLASSES)
    class_names = CLASSES
    subsets = ("test", "train", "holdout")
    augmentation = Augmentation(scaling=0.1)

    def __init__(self, data_root: Path | str | None = None, holdout: int = 20, **options: Any) -> None:
        super().__init__(data_root, **options)
        require_holdout(holdout, self.subset, "rooms")
        self.holdout = holdout
        self._rooms: tuple[Form, dict[str, Path]] | None = None

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset's rooms, area after area, by name and number.

        Raises:
            DataError: None of the subset's areas is there.
            ConfigError: No training room is left beside the held-out ones.
        """
        ids = [scene_id for scene_id in self._found()[1] if scene_id.startswith(f"{_TEST_AREA}_") == (subset == "test")]
        if not ids:
            areas = "Area_5" if subset == "test" else "areas other than Area_5"
            raise DataError(f"no rooms of {areas} ({subset}) in {self.data_root}. {_OBTAIN} {how_to_choose(self.name)}")
        return held_out(ids, self.holdout, self.data_root) if subset == "holdout" else ids

    def file(self, scene_id: str) -> Path:
        """Return a room's file, or its folder of annotations.

        Raises:
            DataError: There is no such room.
        """
        rooms = self._found()[1]
        if scene_id not in rooms:
            raise DataError(f"no room {scene_id} in {self.data_root}. {_OBTAIN}")
        return rooms[scene_id]

    def sources(self, scene_id: str) -> Sequence[Path]:
        """Return the files that a room is read from."""
        path = self.file(scene_id)
        return annotations(path) if path.is_dir() else (path,)

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
                        self._rooms = form, dict(sorted(rooms.items(), key=lambda room: natural(room[0])))
                        return self._rooms
            raise DataError(
                f"no rooms of S3DIS in {self.data_root}: they were looked for as Area_*/ROOM/Annotations, "
                f"Area_*_ROOM.npy and Area_*/ROOM.ply. {_OBTAIN} {how_to_choose(self.name)}"
            )
        return self._rooms


def _room_id(path: Path) -> str:
    if path.suffix == ".npy":
        return path.stem
    room = path.parent if path.name == "Annotations" else path
    return f"{room.parent.name}_{room.stem}"
