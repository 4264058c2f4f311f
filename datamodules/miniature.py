"""The base of the miniature point data sets: generated files, made when asked for, read as the official ones are."""

from abc import abstractmethod

from datamodules.parts import Files, ensure_part
from datamodules.point_datamodule import PointDataModule
from datamodules.scene import Scene
from lgm_bench.errors import DataError


class Miniature(PointDataModule):
    """What stands before a data set's reader, so that the files of its `data_root` are made.

    They come in two parts, "test" and "train", of which one is made when its first scene is asked for.
    """

    @abstractmethod
    def files(self, part: str) -> Files:
        """Generate the files of "test" or "train", by their paths below `data_root`."""

    def prepare_data(self) -> None:
        """Write the subset's files, in one process, where they are not there as they should be.

        Raises:
            DataError: They cannot be written, or another run keeps their folder locked.
        """
        self._ensure(self.subset)

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset, whose files are written first if need be.

        Raises:
            DataError: They cannot be written.
        """
        self._ensure(subset)
        return super().list_ids(subset)  # type: ignore[safe-super]  # the reader's, which is next in line

    def scene(self, scene_id: str) -> Scene:
        """Return a scene or shape, checked.

        Raises:
            DataError: Its files have been damaged since they were listed.
        """
        try:
            return super().scene(scene_id)
        except DataError as error:
            raise DataError(f"{error} Or run this again: what is damaged is generated again.") from error

    def _ensure(self, subset: str) -> None:
        part = "test" if subset == "test" else "train"
        ensure_part(self.data_root, part, lambda: self.files(part))
