import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from indoor_files import write_lists, write_scan
from street_and_shape_files import write_hdf5_shapes, write_semantickitti, write_text_shapes

from datamodules.batch import PointBatch
from datamodules.modelnet40 import ModelNet40DataModule
from datamodules.prepared import FOLDER, Outcome, prepare
from datamodules.scannet import ScanNetDataModule
from datamodules.semantickitti import SemanticKITTIDataModule
from lgm_bench.errors import DataError

NAMES = ["bed_0001", "bed_0516", "car_0001", "car_0198"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_text_shapes(tmp_path / "modelnet40", NAMES, points=20)


def shapes(root: Path, points: int = 9) -> ModelNet40DataModule:
    return ModelNet40DataModule(root, points=points)


def batch_of(root: Path, points: int = 9) -> PointBatch:
    return next(iter(shapes(root, points).test_dataloader()))


def spoil_sources(root: Path) -> None:
    """Replace the files by such of the same size and time: only a prepared form can be read still."""
    for path in root.glob("*/*/*.txt"):
        before = path.stat()
        path.write_bytes(b"x" * before.st_size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_prepared_form_is_read_and_is_the_same(root: Path) -> None:
    official = batch_of(root)
    told: list[tuple[int, int]] = []
    assert prepare(shapes(root), lambda *counts: told.append(counts)) == Outcome(4, 0, 0)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    spoil_sources(root)
    prepared = batch_of(root)
    assert prepared.ids == official.ids == ["bed_0516", "car_0198"]
    assert torch.equal(prepared.labels, official.labels)
    assert torch.equal(prepared.cloud.points, official.cloud.points)
    assert prepared.cloud.features.shape == official.cloud.features.shape


def test_what_is_prepared_stays_and_what_was_stopped_goes_on(root: Path) -> None:
    def stop_after_two(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(shapes(root), stop_after_two)
    forms = sorted((root / FOLDER).iterdir())
    assert len(forms) == 2
    times = [path.stat().st_mtime_ns for path in forms]
    assert prepare(shapes(root)) == Outcome(2, 2, 0)
    assert [path.stat().st_mtime_ns for path in forms] == times
    assert prepare(shapes(root)) == Outcome(0, 4, 0)


def test_a_form_of_other_contents_or_options_is_not_read(root: Path) -> None:
    prepare(shapes(root))
    path = root / "modelnet40_normal_resampled" / "bed" / "bed_0516.txt"
    np.savetxt(path, np.random.default_rng(5).normal(size=(20, 6)), delimiter=",")
    changed = batch_of(root).cloud
    values = np.loadtxt(path, delimiter=",")[:9, :3]
    values -= values.mean(0)
    values /= np.linalg.norm(values, axis=1).max()
    np.testing.assert_allclose(changed.points[:9].numpy(), values, atol=1e-6)
    assert len(batch_of(root, points=5).cloud.points) == 10
    assert prepare(shapes(root)) == Outcome(1, 3, 0)
    path.touch()
    assert prepare(shapes(root)) == Outcome(1, 3, 0)


@pytest.mark.parametrize("kept", [0, 10, 300])
def test_a_damaged_form_is_not_read(root: Path, kept: int) -> None:
    official = batch_of(root)
    prepare(shapes(root))
    for path in (root / FOLDER).iterdir():
        path.write_bytes(path.read_bytes()[:kept])
    assert torch.equal(batch_of(root).cloud.points, official.cloud.points)
    assert prepare(shapes(root)) == Outcome(4, 0, 0)


@pytest.mark.parametrize(("place", "value"), [(6, 0xFF), (8, 0x41), (10, 7)])  # version, flags, method
def test_an_archive_of_another_kind_is_not_read(root: Path, place: int, value: int) -> None:
    official = batch_of(root)
    prepare(shapes(root))
    for path in (root / FOLDER).iterdir():
        content = bytearray(path.read_bytes())
        for entry in re.finditer(rb"PK\x01\x02", bytes(content)):
            content[entry.start() + place] = value
        path.write_bytes(content)
    assert torch.equal(batch_of(root).cloud.points, official.cloud.points)
    assert prepare(shapes(root)) == Outcome(4, 0, 0)


def test_too_few_scenes_to_hold_some_out_are_prepared(tmp_path: Path) -> None:
    for place, scene_id in enumerate(("scene0000_00", "scene0011_00")):
        write_scan(tmp_path, scene_id, seed=place)
    write_lists(tmp_path, ["scene0000_00"], ["scene0011_00"])
    assert prepare(ScanNetDataModule(tmp_path)) == Outcome(2, 0, 0)  # which holds out 50


def test_what_cannot_be_used_is_not_prepared(root: Path) -> None:
    path = root / "modelnet40_normal_resampled" / "car" / "car_0198.txt"
    path.write_text("1,nan,3,0,0,1\n" + path.read_text())
    with pytest.raises(DataError, match=r"car_0198\.txt: the coordinates of point 0"):
        prepare(shapes(root))
    assert not (root / FOLDER / "car_0198.npz").exists()
    path.unlink()
    prepare(shapes(root))
    assert prepare(shapes(root)) == Outcome(0, 3, 0)


def test_a_folder_that_cannot_be_written_is_named(root: Path) -> None:
    (root / FOLDER).write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write .*npz: .* The data can be used unprepared"):
        prepare(shapes(root))
    assert len(batch_of(root).ids) == 2


def test_fast_formats_are_left_as_they_are(tmp_path: Path) -> None:
    kitti = write_semantickitti(tmp_path / "semantickitti", {"00": 3})  # and no sequence 08
    outcome = prepare(SemanticKITTIDataModule(kitti))
    assert outcome[:3] == (0, 0, 3)
    ((subset, reason),) = outcome.absent
    assert subset == "test"
    assert "sequence 08" in reason
    hdf5 = write_hdf5_shapes(tmp_path / "modelnet40", {"ply_data_test0": [1, 2], "ply_data_train0": [3]})
    assert prepare(ModelNet40DataModule(hdf5)) == Outcome(0, 0, 3)
    assert not list(tmp_path.rglob(FOLDER))
    with pytest.raises(DataError, match="no scans of SemanticKITTI's sequence 08"):
        prepare(SemanticKITTIDataModule(tmp_path / "nothing"))
