"""The miniature street and shapes: official layouts, read by the official readers, the same everywhere."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import load_datamodule
from datamodules.batch import PointBatch
from datamodules.generated import modelnet40_mini, semantickitti_mini
from datamodules.generated.modelnet40_mini import MAKERS, shape
from datamodules.modelnet40_forms import TRAINING_SHAPES
from lgm_bench.errors import DataError

NAMES = ("semantickitti-mini", "modelnet40-mini")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(semantickitti_mini, "SCANS", {"test": 2, "train": 2})
    monkeypatch.setattr(modelnet40_mini, "EACH", {"test": 2, "train": 3})
    return tmp_path / "cache"


def batches(name: str, **options) -> list[PointBatch]:
    datamodule = load_datamodule(name, **options)
    datamodule.setup("test")
    return list(datamodule.test_dataloader())


@pytest.mark.parametrize("name", NAMES)
def test_the_plain_reader_reads_the_same(name: str) -> None:
    made = batches(name, batch_size=2)
    read = batches(name.removesuffix("-mini"), batch_size=2, data_root=load_datamodule(name).data_root)
    assert len(made) == len(read) > 0
    for one, other in zip(made, read, strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.cloud.points, other.cloud.points)
        assert torch.equal(one.cloud.features, other.cloud.features)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_everywhere_and_made_again_when_damaged(name: str, cache: Path, monkeypatch) -> None:
    first = load_datamodule(name)
    first.prepare_data()
    sums = (first.data_root / "test.sha256").read_bytes()
    assert not (first.data_root / "train.sha256").exists()
    monkeypatch.setenv("LGM_BENCH_CACHE", str(cache.with_name("other")))
    second = load_datamodule(name)
    second.prepare_data()
    assert (second.data_root / "test.sha256").read_bytes() == sums
    path = second.file(second.sample_ids()[1])
    content = path.read_bytes()
    path.write_bytes(content[:-1000])
    with pytest.raises(DataError, match=r"(truncated|is no list|holds \d+ points).*Or repeat this command"):
        second.scene(second.sample_ids()[1])
    load_datamodule(name).prepare_data()
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", NAMES)
def test_several_may_come_first(name: str) -> None:
    start = threading.Barrier(3)

    def read(_: int) -> list[str]:
        start.wait()
        return load_datamodule(name).sample_ids()

    with ThreadPoolExecutor(3) as pool:
        one, two, three = pool.map(read, range(3))
    assert one == two == three


def test_scans() -> None:
    datamodule = load_datamodule("semantickitti-mini")
    datamodule.setup("fit")
    trained = [f"{sequence:02d}/000000" for sequence in (*range(8), 9, 10)]
    assert datamodule.training_ids() == trained
    assert datamodule.validation_ids() == [scan.replace("/000000", "/000001") for scan in trained]
    assert datamodule.sample_ids() == ["08/000000", "08/000001"]
    batch = next(iter(datamodule.test_dataloader()))
    assert 10_000 < len(batch.labels) < 16_384
    assert 0 <= batch.cloud.features.min() <= batch.cloud.features.max() <= 1
    velodyne = datamodule.file("08/000000")
    assert velodyne.relative_to(datamodule.data_root).as_posix() == "dataset/sequences/08/velodyne/000000.bin"
    labels = np.fromfile(velodyne.parent.parent / "labels" / "000000.label", "<u4")
    assert len(labels) * 16 == velodyne.stat().st_size
    assert (labels >> 16).max() > 10  # instances


def test_shapes() -> None:
    datamodule = load_datamodule("modelnet40-mini", batch_size=40, holdout=0.34)
    datamodule.setup("fit")
    assert (len(datamodule.training_ids()), len(datamodule.validation_ids())) == (40, 20)
    (batch,) = datamodule.test_dataloader()
    assert batch.ids[:20] == [f"{name}_{TRAINING_SHAPES[name] + 1:04d}" for name in MAKERS]
    assert [datamodule.class_names[label] for label in batch.labels[:20]] == list(MAKERS)
    assert len(datamodule.class_names) == 40
    radius = batch.cloud.points.norm(dim=1).view(40, 2048)
    assert torch.allclose(radius.amax(1), torch.ones(40))
    folder = datamodule.data_root / "modelnet40_normal_resampled"
    lines = (folder / "chair" / "chair_0890.txt").read_text().splitlines()
    assert (len(lines), len(lines[0].split(","))) == (2048, 6)
    listed = (folder / "modelnet40_test.txt").read_text().split()
    assert sorted(listed) == sorted(batch.ids)


@pytest.mark.parametrize("name", MAKERS)
def test_shapes_differ_and_stand_upright(name: str) -> None:
    (points, normals), (again, _), (other, _) = (shape(name, (0, number)) for number in (1, 1, 2))
    assert np.array_equal(points, again)
    assert not np.allclose(np.sort(points[:, 1]), np.sort(other[:, 1]), atol=0.005)
    assert points.shape == normals.shape == (2048, 3)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(1)
    standing = {"bottle", "chair", "cone", "door", "lamp", "bookshelf", "vase", "wardrobe", "stool", "flower_pot"}
    extent = np.ptp(points, axis=0)
    if name in standing:
        assert extent[1] == extent.max()
    if name in {"table", "desk", "bench", "bed", "bathtub", "sofa", "bowl"}:
        assert extent[1] < extent[0]
    if name in {"table", "desk", "stool", "sofa", "bed"}:  # plates to sit, lie or work on face upwards
        assert (normals[:, 1] > 0.99).mean() > 0.1
        assert points[normals[:, 1] > 0.99, 1].mean() > points[normals[:, 1] < -0.99, 1].mean()
