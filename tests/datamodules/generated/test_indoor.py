"""Generated rooms: written once in the official layouts, read by the readers of the official data."""

import hashlib
import itertools
import re
import sys
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from plyfile import PlyData

from datamodules import load_datamodule
from datamodules.generated import indoor
from datamodules.generated.indoor import (
    CLASS_OF_KIND,
    NYU_OF_KIND,
    RoomsS3DISDataModule,
    RoomsScanNetDataModule,
    S3DISMiniDataModule,
    ScanNetMiniDataModule,
    Sizes,
    room_files,
    scan_files,
)
from datamodules.generated.miniature import Files
from datamodules.generated.rooms.room import s3dis_room, scannet_room
from lgm_bench.errors import DataError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (RoomsScanNetDataModule, RoomsS3DISDataModule, ScanNetMiniDataModule, S3DISMiniDataModule):
        monkeypatch.setattr(kind, "sizes", Sizes(4, 1, 2))


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write(files: Files, folder: Path) -> None:
    for name, content in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_scans_are_written_as_official_ones_are(tmp_path: Path) -> None:
    room = scannet_room("bathroom", (0, 0))
    write(scan_files(room, "scene0000_00"), tmp_path)
    stem = tmp_path / "scans" / "scene0000_00" / "scene0000_00_vh_clean_2"
    plain, labelled = (PlyData.read(stem.with_suffix(ending)) for ending in (".ply", ".labels.ply"))
    assert [p.name for p in plain["vertex"].properties] == ["x", "y", "z", "red", "green", "blue", "alpha"]
    assert (labelled["vertex"]["label"].dtype, plain["vertex"]["x"].dtype) == (np.uint16, np.float32)
    for file in (plain, labelled):
        assert np.allclose(np.stack([file["vertex"][name] for name in "xyz"], 1), room.points, atol=6e-5)
        assert np.array_equal(np.stack([file["vertex"][name] for name in ("red", "green", "blue")], 1), room.colours)
        assert np.array_equal(np.stack(file["face"]["vertex_indices"][:500]), room.triangles[:500])
        assert len(file["face"]) == len(room.triangles)
    assert labelled["vertex"]["label"].tolist() == [NYU_OF_KIND[room.kinds[place]] for place in room.objects]


def test_rooms_are_written_as_official_ones_are(tmp_path: Path) -> None:
    room = s3dis_room("office", (0, 0))
    write(room_files(room, "office_1"), tmp_path)
    whole = np.loadtxt(tmp_path / "office_1" / "office_1.txt")
    assert np.allclose(whole[:, :3], room.points[np.argsort(room.objects, kind="stable")], atol=6e-4)
    objects = sorted((tmp_path / "office_1" / "Annotations").iterdir())
    assert len(objects) == len(room.kinds)
    chairs = np.concatenate([np.loadtxt(path) for path in objects if path.name.startswith("chair_")])
    is_chair = np.array([kind == "chair" for kind in room.kinds])[room.objects]
    assert np.array_equal(chairs[:, 3:], room.colours[is_chair])
    assert {path.name.split("_")[0] for path in objects} == {CLASS_OF_KIND.get(kind, "clutter") for kind in room.kinds}


def test_full_sizes(cache: Path) -> None:
    datamodule = load_datamodule("rooms-s3dis")
    datamodule.setup("fit")
    assert (len(datamodule.training_ids()), len(datamodule.validation_ids())) == (24, 4)
    assert {scene_id[:6] for scene_id in datamodule.validation_ids()} == {"Area_6"}
    assert len(datamodule.sample_ids()) == 8
    assert all(scene_id.startswith("Area_5_") for scene_id in datamodule.sample_ids())
    seen = torch.zeros(256, dtype=torch.int64)
    for batch in datamodule.test_dataloader():
        seen += batch.labels.bincount(minlength=256)
    assert (seen[:13] > 500).all()
    assert not seen[13:].any()


MINIATURES = {  # classes in the six rooms of the test set, and how many points a room may have
    "scannet-mini": ({0, 1, 2, 4, 5, 6, 9, 12, 16, 17, 19}, (3000, 7500)),
    "s3dis-mini": ({0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, (4500, 9000)),
}


@pytest.mark.parametrize("name", MINIATURES)
def test_miniatures_are_small_and_show_most_classes(name: str, cache: Path) -> None:
    classes, (least, most) = MINIATURES[name]
    datamodule = load_datamodule(name, subset="test")
    datamodule.setup("fit")
    assert (len(datamodule.training_ids()), len(datamodule.validation_ids())) == (48, 6)
    scenes = [datamodule.scene(scene_id) for scene_id in datamodule.sample_ids()]
    assert len(scenes) == 6
    for scene in scenes:
        assert least < len(scene.points) < most
        assert (np.ptp(scene.points, axis=0) < 3).all()
    counts = np.bincount(np.concatenate([scene.labels for scene in scenes]), minlength=256)
    assert set(np.flatnonzero(counts[:255] > 100)) == classes


@pytest.mark.parametrize("name", MINIATURES)
def test_the_official_reader_reads_the_same(name: str, cache: Path, few: None) -> None:
    made = load_datamodule(name, batch_size=2)
    made.setup("test")
    read = load_datamodule(name.removesuffix("-mini"), data_root=made.data_root, batch_size=2)
    read.setup("test")
    assert made.sample_ids() == read.sample_ids()
    (one,), (other,) = made.test_dataloader(), read.test_dataloader()
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.cloud.points, other.cloud.points)
    assert torch.equal(one.cloud.features, other.cloud.features)


@pytest.mark.parametrize("name", MINIATURES)
def test_no_optional_library_is_needed(name: str, cache: Path, few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    extras = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for library in itertools.chain(*(extras[extra] for extra in extras.keys() - {"dev"})):
        monkeypatch.setitem(sys.modules, re.split(r"\W", library)[0], None)
    made = load_datamodule(name)
    made.setup("test")
    assert len(list(made.test_dataloader())) == 2


def test_scannet_rooms(cache: Path, few: None) -> None:
    datamodule = RoomsScanNetDataModule(batch_size=2, holdout=1)
    datamodule.setup("fit")
    assert datamodule.training_ids() == [f"scene000{number}_00" for number in range(4)]
    assert (datamodule.validation_ids(), datamodule.sample_ids()) == (
        ["scene0004_00"],
        ["scene0005_00", "scene0006_00"],
    )
    (batch,) = datamodule.test_dataloader()
    assert (datamodule.num_classes, batch.cloud.features.min() >= 0, batch.cloud.features.max() <= 1) == (
        20,
        True,
        True,
    )
    room = scannet_room("bedroom", (0, 5))
    assert torch.allclose(batch.cloud.points[: len(room.points)], torch.tensor(room.points).float(), atol=6e-5)
    assert set(batch.labels.tolist()) <= {*range(20), 255}
    assert len(list(datamodule.train_dataloader())) == 2


@pytest.mark.parametrize(
    "make", [RoomsScanNetDataModule, RoomsS3DISDataModule, ScanNetMiniDataModule, S3DISMiniDataModule]
)
def test_written_once_and_the_same_everywhere(cache: Path, few: None, make, monkeypatch) -> None:
    make(holdout=1).setup("test")
    assert {path.name for path in cache.glob("*/*.sha256")} == {"test.sha256"}  # the others wait until they are needed
    make(holdout=1).setup("fit")
    first = hashes(cache)
    times = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    make(holdout=1).setup("test")
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == times
    monkeypatch.setenv("LGM_BENCH_CACHE", str(cache.with_name("other")))
    make(holdout=1).setup("fit")
    make(holdout=1).setup("test")
    assert hashes(cache.with_name("other")) == first
    assert not [path for path in cache.iterdir() if path.name.endswith(".tmp")]


def test_several_may_come_first(cache: Path, few: None) -> None:
    start = threading.Barrier(3)

    def read(_: int) -> int:
        start.wait()
        return len(RoomsS3DISDataModule(holdout=1).sample_ids())

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(read, range(3))) == [2, 2, 2]


def test_areas_that_are_written_later_are_seen(cache: Path, few: None) -> None:
    datamodule = RoomsS3DISDataModule(holdout=1)
    assert {scene_id[:6] for scene_id in datamodule.sample_ids()} == {"Area_5"}
    datamodule.setup("fit")
    assert (len(datamodule.training_ids()), len(datamodule.validation_ids())) == (4, 1)
    assert len(list(datamodule.val_dataloader())) == 1


def test_writing_that_fails_is_explained_and_done_again(cache: Path, few: None, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(indoor, "split_list", fail)
    with pytest.raises(DataError, match=r"cannot write generated data .*rooms-scannet.*No space.*LGM_BENCH_CACHE"):
        RoomsScanNetDataModule().setup("test")
    assert not list(cache.glob("*/*.sha256"))
    monkeypatch.undo()
    monkeypatch.setenv("LGM_BENCH_CACHE", str(cache))
    monkeypatch.setattr(RoomsScanNetDataModule, "sizes", Sizes(4, 1, 2))
    assert len(RoomsScanNetDataModule(holdout=1).sample_ids()) == 2


@pytest.mark.parametrize("make", [RoomsScanNetDataModule, ScanNetMiniDataModule, S3DISMiniDataModule])
def test_damaged_rooms_are_explained_and_made_again(cache: Path, few: None, make) -> None:
    datamodule = make()
    datamodule.setup("test")
    path = datamodule.sources(datamodule.sample_ids()[0])[0]
    content = path.read_bytes()
    path.write_bytes(content[:1001])
    with pytest.raises(DataError, match=rf"{path.name}.*Or repeat this command"):
        list(datamodule.test_dataloader())
    make().setup("test")
    assert path.read_bytes() == content
    path.unlink()
    make().setup("test")
    assert path.read_bytes() == content
