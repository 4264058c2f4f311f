"""Generated rooms that need no download: written once in the layouts of ScanNet and S3DIS, read as these are."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datamodules.miniature import Miniature
from datamodules.parts import Files
from datamodules.rooms.room import S3DIS, S3DIS_MINI, SCANNET, SCANNET_MINI, s3dis_room, scannet_room
from datamodules.rooms.s3dis_files import room_files
from datamodules.rooms.scannet_files import scan_files, split_list
from datamodules.s3dis import S3DISDataModule
from datamodules.scannet import ScanNetDataModule
from lgm_bench.files import cache_folder

VERSION = 2
"""Raised whenever the same seed gives other rooms or files, so that folders of others are not read."""

SEED, TEST_AREA = 0, 5


class Sizes(NamedTuple):
    """Numbers of rooms to train on, held out, and to test on."""

    train: int
    holdout: int
    test: int


class _Rooms(Miniature):
    """What stands before the reader of either layout; its arguments are explained there."""

    sizes: Sizes

    def __init__(
        self,
        data_root: Path | str | None = None,  # noqa: ARG002
        batch_size: int = 1,
        limit: int | None = None,
        subset: str = "test",
        holdout: int | None = None,
        seed: int = 0,
    ) -> None:
        held_out = self.sizes.holdout if holdout is None else holdout
        super().__init__(rooms_folder(self.name), batch_size, limit, subset, held_out, seed)  # the reader's


class RoomsScanNetDataModule(_Rooms, ScanNetDataModule):
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

    def files(self, part: str) -> Files:
        """Generate `scans/SCENE/...` and the split list of "test" or "train"."""
        ids = [f"scene{number:04d}_00" for number in range(sum(self.sizes))]
        chosen = ids[-self.sizes.test :] if part == "test" else ids[: -self.sizes.test]
        for number, (scene_id, kind) in enumerate(zip(ids, itertools.cycle(self.style.plans), strict=False)):
            if scene_id in chosen:
                yield from scan_files(scannet_room(kind, (SEED, number), self.style), scene_id)
        yield split_list(part, chosen)


class ScanNetMiniDataModule(RoomsScanNetDataModule):
    """Corners of rooms, a few square metres and some thousand points each: 48 to train on, 6 held out, 6 to test on.

    They show 11 of the 20 classes: those that stand on the floor.
    """

    name = "scannet-mini"
    style = SCANNET_MINI
    sizes = Sizes(train=48, holdout=6, test=6)


class RoomsS3DISDataModule(_Rooms, S3DISDataModule):
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

    def files(self, part: str) -> Files:
        """Generate `Stanford3dDataset_v1.2_Aligned_Version/Area_N/ROOM/...` of "test", area 5, or "train"."""
        for number, (area, kind, place) in enumerate(self._rooms_by_area()):
            if (area == TEST_AREA) == (part == "test"):
                folder = f"Stanford3dDataset_v1.2_Aligned_Version/Area_{area}/{kind}_{place}"
                yield from room_files(s3dis_room(kind, (SEED, number), self.style), folder)

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset's rooms, which are written first if need be."""
        self._rooms = None  # the reader's list, from before these rooms were there
        return super().list_ids(subset)

    def _rooms_by_area(self) -> Iterator[tuple[int, str, int]]:
        """Area, kind and number of every room: areas 1 to 4 to train on, area 6 held out, area 5 to test on."""
        kinds = itertools.cycle(self.style.plans)
        quarter = self.sizes.train // 4
        areas = [(1, quarter), (2, quarter), (3, quarter), (4, quarter), (6, self.sizes.holdout)]
        for area, n in [*areas, (TEST_AREA, self.sizes.test)]:
            numbers: Counter[str] = Counter()
            for kind in itertools.islice(kinds, n):
                numbers[kind] += 1
                yield area, kind, numbers[kind]


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
