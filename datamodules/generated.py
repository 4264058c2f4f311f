"""Generated rooms that need no download: written once in the layouts of ScanNet and S3DIS, read as these are."""

import itertools
import tempfile
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from datamodules.point_datamodule import PointDataModule
from datamodules.rooms.room import S3DIS, S3DIS_MINI, SCANNET, SCANNET_MINI, Style, s3dis_room, scannet_room
from datamodules.rooms.s3dis_files import write_room
from datamodules.rooms.scannet_files import write_lists, write_scan
from datamodules.s3dis import S3DISDataModule
from datamodules.scannet import ScanNetDataModule
from datamodules.scene import Scene
from lgm_bench.errors import DataError
from lgm_bench.files import CACHE_VARIABLE, cache_folder

VERSION = 1
"""Raised whenever the same seed gives other rooms, so that folders of other rooms are not read."""

SEED = 0
LOCK_SECONDS = 300.0


class Sizes(NamedTuple):
    """Numbers of rooms to train on, held out, and to test on."""

    train: int
    holdout: int
    test: int


class GeneratedRooms(PointDataModule):
    """What the sets of generated rooms share: their folder, which is written when it is first needed.

    Attributes:
        style: Kinds of rooms; they take turns.
        sizes: How many rooms are generated.
    """

    style: Style
    sizes: Sizes

    def prepare_data(self) -> None:
        """Write the rooms, in one process, where they are not there yet.

        Raises:
            DataError: The folder cannot be written, or another run keeps it locked.
        """
        write_once(self.data_root, self.write_rooms, self.name)

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset's rooms, which are written first if need be.

        Raises:
            DataError: They cannot be written.
        """
        self.prepare_data()
        with self._remedy():
            return super().list_ids(subset)  # type: ignore[safe-super]  # the reader's, which is next in line

    def scene(self, scene_id: str) -> Scene:
        """Return a room, checked.

        Raises:
            DataError: Its files are damaged.
        """
        with self._remedy():
            return super().scene(scene_id)

    @contextmanager
    def _remedy(self) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            raise DataError(f"{error} Or remove {self.data_root}: these rooms are generated again.") from error

    @classmethod
    @abstractmethod
    def write_rooms(cls, folder: Path) -> None:
        """Write all rooms below a folder."""


class RoomsScanNetDataModule(GeneratedRooms, ScanNetDataModule):
    """Generated rooms in ScanNet's layout and with its 20 classes: 24 to train on, 4 held out, 8 to test on.

    They lie in `$LGM_BENCH_CACHE`, else in the user's cache folder.

    Args:
        data_root: Not used, since the rooms need not be brought; every data set takes one.
        batch_size: See `ScanNetDataModule`, as of all that follow.
        limit: Only the first so many rooms of the subset; None: all. The kinds of rooms take turns.
        subset: "test", "train" or "holdout".
        holdout: The last so many training rooms are held out; None: `sizes.holdout`.
        seed: Determines, with the epoch, order and augmentation in training; not the rooms.

    Raises:
        ConfigError: batch_size or limit is below 1, seed or holdout below 0, or the subset is unknown or empty.
    """

    name = "rooms-scannet"
    style = SCANNET
    sizes = Sizes(train=24, holdout=4, test=8)

    def __init__(
        self,
        data_root: Path | str | None = None,  # noqa: ARG002
        batch_size: int = 1,
        limit: int | None = None,
        subset: str = "test",
        holdout: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            rooms_folder(self.name), batch_size, limit, subset, self.sizes.holdout if holdout is None else holdout, seed
        )

    @classmethod
    def write_rooms(cls, folder: Path) -> None:
        """Write the rooms below a folder as `scans/SCENE/...` with the split lists."""
        ids = [f"scene{number:04d}_00" for number in range(sum(cls.sizes))]
        for number, (scene_id, kind) in enumerate(zip(ids, itertools.cycle(cls.style.plans), strict=False)):
            write_scan(scannet_room(kind, (SEED, number), cls.style), scene_id, folder / "scans")
        write_lists(ids[: -cls.sizes.test], ids[-cls.sizes.test :], folder)


class ScanNetMiniDataModule(RoomsScanNetDataModule):
    """Corners of rooms, a few square metres and some thousand points each: 48 to train on, 6 held out, 6 to test on.

    They show 12 of the 20 classes: those that stand on the floor.
    """

    name = "scannet-mini"
    style = SCANNET_MINI
    sizes = Sizes(train=48, holdout=6, test=6)


class RoomsS3DISDataModule(GeneratedRooms, S3DISDataModule):
    """Generated rooms in S3DIS's layout and with its 13 classes: 24 to train on, 4 held out, 8 in area 5 to test on.

    They lie in `$LGM_BENCH_CACHE`, else in the user's cache folder.

    Args:
        data_root: Not used, since the rooms need not be brought; every data set takes one.
        batch_size: See `S3DISDataModule`, as of all that follow.
        limit: Only the first so many rooms of the subset; None: all.
        subset: "test", "train" or "holdout".
        holdout: The last so many training rooms are held out; None: `sizes.holdout`, area 6, as many of each kind.
        seed: Determines, with the epoch, order and augmentation in training; not the rooms.

    Raises:
        ConfigError: batch_size or limit is below 1, seed or holdout below 0, or the subset is unknown or empty.
    """

    name = "rooms-s3dis"
    style = S3DIS
    sizes = Sizes(train=24, holdout=4, test=8)

    def __init__(
        self,
        data_root: Path | str | None = None,  # noqa: ARG002
        batch_size: int = 1,
        limit: int | None = None,
        subset: str = "test",
        holdout: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            rooms_folder(self.name), batch_size, limit, subset, self.sizes.holdout if holdout is None else holdout, seed
        )

    @classmethod
    def write_rooms(cls, folder: Path) -> None:
        """Write the rooms below a folder as `Stanford3dDataset_v1.2_Aligned_Version/Area_N/ROOM/...`."""
        areas = folder / "Stanford3dDataset_v1.2_Aligned_Version"
        for number, (area, kind, place) in enumerate(_s3dis_rooms(cls.style, cls.sizes)):
            write_room(s3dis_room(kind, (SEED, number), cls.style), areas / f"Area_{area}" / f"{kind}_{place}")


class S3DISMiniDataModule(RoomsS3DISDataModule):
    """Rooms of a few square metres and some thousand points each: 48 to train on, 6 held out, 6 to test on.

    They show all classes but boards.
    """

    name = "s3dis-mini"
    style = S3DIS_MINI
    sizes = Sizes(train=48, holdout=6, test=6)


def rooms_folder(name: str) -> Path:
    """Return the folder of a set of generated rooms; it need not exist."""
    return cache_folder(f"{name}-seed{SEED}-v{VERSION}")


def write_once(folder: Path, write: Callable[[Path], None], what: str) -> None:
    """Make a folder by `write`, all or nothing, unless it is there.

    Raises:
        DataError: It cannot be written, or another run keeps it locked.
    """
    if folder.is_dir():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock"), timeout=LOCK_SECONDS):
            if folder.is_dir():
                return
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
                new = Path(temporary) / "new"
                new.mkdir()
                write(new)
                new.rename(folder)
    except Timeout as error:
        raise DataError(
            f"{folder} is locked by another run for more than {LOCK_SECONDS:.0f} s; wait for it to finish"
        ) from error
    except OSError as error:
        raise DataError(
            f"cannot write the rooms of {what} to {folder}: {error.strerror or error}; free some space, or set "
            f"{CACHE_VARIABLE} to a folder that can be written"
        ) from error


def _s3dis_rooms(style: Style, sizes: Sizes) -> Iterator[tuple[int, str, int]]:
    """Area, kind and number of every room: areas 1 to 4 to train on, area 6 held out, area 5 to test on."""
    kinds = itertools.cycle(style.plans)
    quarter = sizes.train // 4
    for area, n in ((1, quarter), (2, quarter), (3, quarter), (4, quarter), (6, sizes.holdout), (5, sizes.test)):
        numbers: Counter[str] = Counter()
        for kind in itertools.islice(kinds, n):
            numbers[kind] += 1
            yield area, kind, numbers[kind]
