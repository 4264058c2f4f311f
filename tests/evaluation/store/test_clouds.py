"""Saved clouds: bit for bit what was attacked, the same verdict again, a .ply that another library reads."""

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.batch import IGNORED
from lgm_bench.attacks import PointBIM
from lgm_bench.errors import ResultError
from lgm_bench.evaluation.store.samples import colour, keep_adversarial, read_sample, sample_path
from lgm_bench.leaded import LGM
from lgm_bench.metrics.confusion import confusion_matrix
from lgm_bench.tasks.samples import SavedCloud
from lgm_bench.voxels import PointCloud
from victims import load_victim

trimesh = pytest.importorskip("trimesh")


def attacked(
    name: str = "minkunet14-scannet", features: int = 3, extent: float = 0.3
) -> tuple[SavedCloud, torch.Tensor]:
    """A scene or shape attacked in float32 with its verdict's logits."""
    victim = load_victim(name, "random")
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(200, 3, generator=generator) * extent
    scene = torch.zeros(200, dtype=torch.int64)
    cloud = PointCloud(points, torch.rand(200, features, generator=generator), scene)
    labels = victim(cloud).argmax(1)
    if victim.task == "segmentation":
        labels[::7] = IGNORED
    moved = PointBIM(0.01, 0.01, 2).perturb(victim, cloud, labels, gradient=LGM(8.0), ids=["Area_5/office 1"])
    logits = victim(cloud.moved(moved)).detach()
    before, after = victim(cloud).argmax(1), logits.argmax(1)
    saved = SavedCloud("Area_5/office 1", moved, points, cloud.features, labels, after, before)
    return saved, logits


@pytest.mark.parametrize(
    ("name", "features", "extent"), [("minkunet14-scannet", 3, 0.3), ("minknet-small-modelnet40", 0, 1.0)]
)
def test_a_reloaded_cloud_has_the_identical_verdict(tmp_path: Path, name: str, features: int, extent: float) -> None:
    saved, logits = attacked(name, features, extent)
    keep_adversarial(tmp_path, saved)
    loaded = read_sample(sample_path(tmp_path / "clouds", saved.id), SavedCloud)
    assert loaded.id == saved.id
    for field in ("points", "clean", "features", "labels", "prediction", "clean_prediction"):
        before, after = getattr(saved, field), getattr(loaded, field)
        assert before.dtype == after.dtype
        assert torch.equal(before, after), field
    cloud = PointCloud(loaded.points, loaded.features, torch.zeros(len(loaded.points), dtype=torch.int64))
    again = load_victim(name, "random")(cloud)
    assert torch.equal(again, logits)
    assert torch.equal(again.argmax(1), loaded.prediction)
    if features:
        matrices = [confusion_matrix(loaded.labels, p, 20) for p in (loaded.prediction, saved.prediction)]
        assert torch.equal(*matrices)


def test_the_ply_shows_points_coloured_by_prediction(tmp_path: Path) -> None:
    saved, _ = attacked()
    keep_adversarial(tmp_path, saved, [f"name {number}" for number in range(20)])
    path = sample_path(tmp_path / "clouds", saved.id).with_suffix(".ply")
    read = trimesh.load(path)
    np.testing.assert_array_equal(np.asarray(read.vertices, dtype=np.float32), saved.points.numpy())
    expected = [colour(number) for number in saved.prediction.tolist()]
    np.testing.assert_array_equal(np.asarray(read.colors)[:, :3], expected)
    header = path.read_bytes().partition(b"end_header")[0].decode()
    present = sorted(set(saved.prediction.tolist()))
    assert all(f"prediction {number} name {number}:" in header for number in present)


def test_colours_tell_classes_apart() -> None:
    colours = [colour(number) for number in range(40)]
    assert len(set(colours)) == 40
    assert all(0 <= value <= 255 for triple in colours for value in triple)


def test_a_file_name_for_every_id(tmp_path: Path) -> None:
    ids = ["08/000000", "08_000000", "08%2F000000", "../escape", "scene 1"]
    paths = {sample_path(tmp_path, sample_id) for sample_id in ids}
    assert len(paths) == len(ids)
    assert all(path.parent == tmp_path for path in paths)


@pytest.mark.parametrize("content", [b"", b"no archive", "cut", "other"])
def test_files_that_are_no_saved_clouds(tmp_path: Path, content: bytes | str) -> None:
    saved, _ = attacked()
    keep_adversarial(tmp_path, saved)
    path = sample_path(tmp_path / "clouds", saved.id)
    if content == "other":
        np.savez(path, a=np.zeros(3))
    else:
        path.write_bytes(path.read_bytes()[:200] if content == "cut" else content)
    with pytest.raises(ResultError, match="is no SavedCloud"):
        read_sample(path, SavedCloud)
    with pytest.raises(ResultError, match="missing"):
        read_sample(tmp_path / "missing.npz", SavedCloud)


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    saved, _ = attacked()
    keep_adversarial(tmp_path, saved)
    assert sorted(path.suffix for path in (tmp_path / "clouds").iterdir()) == [".npz", ".ply"]
