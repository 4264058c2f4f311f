"""S3DIS (Armeni et al. 2016): six areas of office buildings, room by room."""

from collections.abc import Sequence
from pathlib import Path

from datamodules.location import THINNED, how_to_choose
from datamodules.point_datamodule import PointDataModule
from datamodules.s3dis_forms import CLASSES, FORMS, Form, annotations, natural
from datamodules.samples_datamodule import require_holdout
from datamodules.scannet import held_out
from datamodules.scene import Augmentation, Scene
from lgm_bench.errors import DataError

_TEST_AREA = "Area_5"
_FOLDERS = ("Stanford3dDataset_v1.2_Aligned_Version", "Stanford3dDataset_v1.2", "stanford_indoor3d", ".")
_OBTAIN = (
    "Get Stanford3dDataset_v1.2_Aligned_Version.zip from http://buildingparser.stanford.edu/dataset.html (after "
    "filling in the form) and unpack it there."
)


class S3DISDataModule(PointDataModule):
    """Rooms: points in metres as stored in the file, colours in [0, 1], and one of 13 classes per point.

    The reader accepts the official text files (`Area_N/ROOM/Annotations/CLASS_K.txt`), the common `Area_N_ROOM.npy`
    with 7 columns, and the .ply of the published runs (`Area_N/ROOM.ply`). Stairs are `IGNORED`; objects of any other
    class count as clutter. Sample ids are area and room, such as "Area_5_office_1".

    `data_root` is the folder with the areas, or with `Stanford3dDataset_v1.2_Aligned_Version`. Subsets: "test" is area
    5, "train" all other areas, and "holdout" the last rooms of these. For the other arguments and errors see
    `PointDataModule`.

    Args:
        holdout: Number of training rooms to hold out, the last ones; None: `default_holdout`.
    """

    name = "s3dis"
    task = "segmentation"
    num_classes = len(CLASSES)
    class_names = CLASSES
    subsets = ("test", "train", "holdout")
    augmentation = Augmentation(scaling=0.1)
    default_holdout = 20

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
        require_holdout(self.holdout, subset, "rooms")
        self._rooms: tuple[Form, dict[str, Path]] | None = None

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset's rooms, sorted by area, name and number.

        Raises:
            DataError: None of the subset's areas is on disk.
            ConfigError: All training rooms would be held out.
        """
        ids = [
            scene_id
            for scene_id in self._form_and_rooms()[1]
            if scene_id.startswith(f"{_TEST_AREA}_") == (subset == "test")
        ]
        if not ids:
            areas = "Area_5" if subset == "test" else "areas other than Area_5"
            raise DataError(f"no rooms of {areas} ({subset}) in {self.data_root}. {_OBTAIN} {how_to_choose(self.name)}")
        return held_out(ids, self.holdout, self.data_root) if subset == "holdout" else ids

    def file(self, scene_id: str) -> Path:
        """Return the file of a room, or the folder of its annotations.

        Raises:
            DataError: There is no such room.
        """
        rooms = self._form_and_rooms()[1]
        if scene_id not in rooms:
            raise DataError(f"no room {scene_id} in {self.data_root}. {_OBTAIN}")
        return rooms[scene_id]

    def sources(self, scene_id: str) -> Sequence[Path]:
        path = self.file(scene_id)
        return annotations(path) if path.is_dir() else (path,)

    def read(self, scene_id: str) -> Scene:
        return self._form_and_rooms()[0].read(self.file(scene_id))

    def _form_and_rooms(self) -> tuple[Form, dict[str, Path]]:
        """The form that is on disk, and the files of its rooms by id."""
        if self._rooms is None:
            for folder in (self.data_root / name for name in _FOLDERS):
                for form in FORMS:
                    rooms = {_room_id(path): path for path in form.find(folder)}
                    if rooms:
                        self._rooms = form, dict(sorted(rooms.items(), key=lambda room: natural(room[0])))
                        return self._rooms
            raise DataError(
                f"no rooms of S3DIS in {self.data_root}; expected Area_*/ROOM/Annotations, Area_*_ROOM.npy or "
                f"Area_*/ROOM.ply. {_OBTAIN} {how_to_choose(self.name)}"
            )
        return self._rooms


class ThinnedS3DISDataModule(S3DISDataModule):
    """The same rooms with one point per cubic centimetre, as in the released runs."""

    name = f"s3dis{THINNED}"
    spacing = 0.01


def _room_id(path: Path) -> str:
    if path.suffix == ".npy":
        return path.stem
    room = path.parent if path.name == "Annotations" else path
    return f"{room.parent.name}_{room.stem}"
