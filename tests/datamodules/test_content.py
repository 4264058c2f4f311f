"""What samples hold: every change of a value is seen, and nothing else is."""

import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from indoor_files import write_lists, write_scan
from miniatures import CIFAR_FOLDER, dump, write_cifar10, write_imagenet
from street_and_shape_files import write_hdf5_shapes, write_semantickitti, write_text_shapes
from tiny_cifar10 import TinyCIFAR10
from tiny_points import Rooms

from datamodules import content
from datamodules.content import FileHashes, batches_sha256
from datamodules.imagenet import ImageNetDataModule
from datamodules.modelnet40 import ModelNet40DataModule
from datamodules.prepared import prepare
from datamodules.samples_datamodule import SamplesDataModule
from datamodules.scannet import ScanNetDataModule
from datamodules.semantickitti import SemanticKITTIDataModule
from lgm_bench.errors import DataError

Kind = Callable[..., SamplesDataModule]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def of(kind: Kind, root: Path, **options: object) -> str:
    data = kind(data_root=root, **options)
    data.setup("test")
    return data.content_sha256()


def flip_bit(path: Path) -> None:
    """Change the last byte of a file; its size and the time of its change stay."""
    before, bytes_ = path.stat(), bytearray(path.read_bytes())
    bytes_[-1] ^= 1
    path.write_bytes(bytes_)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_batch(root: Path, name: str, place: int) -> None:
    path = root / CIFAR_FOLDER / "test_batch"
    batch = pickle.loads(path.read_bytes())
    batch[name][place] = batch["labels"][place] + 1 if name == "labels" else 255 - batch["data"][place]
    dump(batch, path)


@pytest.mark.parametrize("name", ["labels", "data"])
def test_pixels_and_labels_in_memory(tmp_path: Path, name: str) -> None:
    root = write_cifar10(tmp_path / "data")
    before, first = of(TinyCIFAR10, root), of(TinyCIFAR10, root, limit=3)
    change_batch(root, name, place=5)
    after = of(TinyCIFAR10, root)
    assert (before != after, first == of(TinyCIFAR10, root, limit=3)) == (True, True)
    assert after != of(TinyCIFAR10, root, subset="holdout")
    change_batch(root, name, place=0)
    assert first != of(TinyCIFAR10, root, limit=3)


def scans(root: Path) -> Path:
    for scene in ("scene0000_00", "scene0001_00"):
        write_scan(root, scene)
    write_lists(root, [], ["scene0000_00", "scene0001_00"])
    return root


FILES: list[tuple[Kind, Callable[[Path], Path], str, str]] = [
    (
        ImageNetDataModule,
        lambda root: write_imagenet(root, ["n01440764/a.png", "n01443537/b.png"]),
        "val/n01440764/a.png",
        "val/n01443537/b.png",
    ),
    (
        SemanticKITTIDataModule,
        lambda root: write_semantickitti(root, {"08": 2}),
        "dataset/sequences/08/labels/000000.label",
        "dataset/sequences/08/velodyne/000001.bin",
    ),
    (
        ModelNet40DataModule,
        lambda root: write_text_shapes(root, ["bed_0516", "car_0198"], points=2048),
        "modelnet40_normal_resampled/bed/bed_0516.txt",
        "modelnet40_normal_resampled/car/car_0198.txt",
    ),
    (
        ScanNetDataModule,
        scans,
        "scans/scene0000_00/scene0000_00_vh_clean_2.labels.ply",
        "scans/scene0001_00/scene0001_00_vh_clean_2.ply",
    ),
]


@pytest.mark.parametrize(("kind", "write", "first", "second"), FILES, ids=[kind.name for kind, *_ in FILES])
def test_files(tmp_path: Path, kind: Kind, write: Callable[[Path], Path], first: str, second: str) -> None:
    root = write(tmp_path / "data")
    whole, limited = of(kind, root), of(kind, root, limit=1)
    (root / second).touch()
    assert of(kind, root) == whole
    flip_bit(root / second)
    assert of(kind, root, limit=1) == limited != whole
    assert of(kind, root) != whole
    changed = of(kind, root)
    flip_bit(root / second)
    flip_bit(root / first)
    assert of(kind, root) not in (whole, changed)
    assert of(kind, root, limit=1) != limited


def test_a_sample_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    root = write_imagenet(tmp_path / "data", ["n01440764/a.png", "n01443537/b.png"])
    (root / "val/n01443537/b.png").unlink()
    os.mkfifo(root / "val/n01443537/b.png")
    of(ImageNetDataModule, root, limit=1)
    with pytest.raises(DataError, match=r"cannot read .*b\.png: it is not a regular file"):
        of(ImageNetDataModule, root)


class TestWhatALoaderYields:
    def test_nothing_but_the_samples_counts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = write_cifar10(tmp_path / "data")
        data = TinyCIFAR10(data_root=root)
        expected = batches_sha256(data)
        data.done = {"test-00001"}
        monkeypatch.setattr("datamodules.sampler.distributed.is_initialized", lambda: True)
        monkeypatch.setattr("datamodules.sampler.distributed.get_rank", lambda: 1)
        monkeypatch.setattr("datamodules.sampler.distributed.get_world_size", lambda: 2)
        assert batches_sha256(data) == expected == batches_sha256(TinyCIFAR10(data_root=root, batch_size=5))
        assert data.done == {"test-00001"}
        assert len(data.test_sampler()) == 5  # ranks have their shares again: six each, one of them done
        change_batch(root, "labels", 7)
        assert batches_sha256(TinyCIFAR10(data_root=root)) != expected

    def test_clouds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = of(Rooms, Path())
        assert of(Rooms, Path(), batch_size=3) == expected != of(Rooms, Path(), limit=2)
        read = Rooms.read

        def relabelled(self: Rooms, scene_id: str) -> object:
            scene = read(self, scene_id)
            return scene._replace(labels=np.roll(scene.labels, 1))

        monkeypatch.setattr(Rooms, "read", relabelled)
        assert of(Rooms, Path()) != expected

    def test_one_that_leaves_samples_out_is_an_error(self, tmp_path: Path) -> None:
        data = TinyCIFAR10(data_root=write_cifar10(tmp_path / "data"))
        loader = data.test_dataloader()
        loader.sampler.indices.remove(3)
        data.test_dataloader = lambda: loader  # type: ignore[method-assign]
        with pytest.raises(DataError, match=r"TinyCIFAR10 does not yield 1 of its 12 samples, such as 'test-00003'"):
            batches_sha256(data)


class TestKeptHashes:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "file"
        path.write_bytes(b"first")
        return path

    def kept(self, path: Path) -> FileHashes:
        return FileHashes(path.parent, path.parent / "kept.json")

    def test_a_settled_file_is_read_once(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        later = time.time_ns() + 10**10
        monkeypatch.setattr("datamodules.content.time.time_ns", lambda: later)
        hashes = self.kept(path)
        sha256 = hashes.of(path)
        hashes.keep()
        monkeypatch.setattr("datamodules.content.hashlib.file_digest", None)
        assert hashes.of(path) == sha256 == self.kept(path).of(path)

    @pytest.mark.parametrize("how", ["in its place", "moved over it"])
    def test_another_of_its_size_and_time_is_seen(self, path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(content, "SETTLED_NS", -(10**12))
        hashes, before = self.kept(path), path.stat()
        sha256 = hashes.of(path)
        target = path if how == "in its place" else path.with_name("other")
        time.sleep(0.02)
        target.write_bytes(b"other")
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
        target.replace(path)
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        assert hashes.known(path) is None
        assert hashes.of(path) != sha256

    def test_a_file_changed_just_now_is_read_again(self, path: Path) -> None:
        hashes = self.kept(path)
        assert hashes.of(path) == hashes.known(path)
        hashes.keep()
        assert not hashes.kept.exists()

    @pytest.mark.parametrize("damage", ["", "[]", '{"x": 3}', '{"x": []}', '{"x": ["a", "b"]}', "\x00"])
    def test_damaged_ones_are_computed_again(self, path: Path, damage: str) -> None:
        (path.parent / "kept.json").write_text(damage)
        assert self.kept(path).of(path) == "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"

    def test_without_a_place_to_keep_them(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(content, "SETTLED_NS", -(10**12))
        hashes = FileHashes(path.parent, path / "kept.json")
        assert hashes.of(path)
        hashes.keep()


def test_a_prepared_form_of_another_content_is_not_read(tmp_path: Path) -> None:
    root = write_text_shapes(tmp_path / "data", ["bed_0516"], points=2048)
    prepare(ModelNet40DataModule(root))
    path = root / "modelnet40_normal_resampled/bed/bed_0516.txt"
    before = path.stat()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(reversed(lines)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    data = ModelNet40DataModule(root)
    data.content_sha256()
    assert torch.equal(torch.from_numpy(data.scene("bed_0516").points), torch.from_numpy(data.read("bed_0516").points))


def test_shapes_in_one_file_are_told_apart(tmp_path: Path) -> None:
    root = write_hdf5_shapes(tmp_path / "data", {"ply_data_test0": [0, 1]})
    assert of(ModelNet40DataModule, root, limit=1) != of(ModelNet40DataModule, root, limit=2)
