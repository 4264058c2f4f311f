from pathlib import Path

import numpy as np
import pytest
import torch
from street_and_shape_files import MOVING_IDS, RAW_IDS, write_semantickitti

from datamodules import load_datamodule
from datamodules.semantickitti import CLASSES, SemanticKITTIDataModule
from lgm_bench.errors import ConfigError, DataError

# The 19 classes' raw ids as semantic-kitti.org documents them, written down apart from the code.
IDS_OF_CLASS = [
    {0, 1, 52, 99}, {10, 252}, {11}, {15}, {18, 258}, {13, 16, 20, 256, 257, 259}, {30, 254}, {31, 253}, {32, 255},
    {40, 60}, {44}, {48}, {49}, {50}, {51}, {70}, {71}, {72}, {80}, {81},
]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_semantickitti(tmp_path / "semantickitti", {"08": 3, "00": 3, "05": 2, "10": 1})


def miniature(root: Path, **options) -> SemanticKITTIDataModule:
    datamodule = SemanticKITTIDataModule(root, **options)
    datamodule.setup("test")
    return datamodule


def only_scan(root: Path) -> tuple[Path, Path]:
    folder = root / "dataset" / "sequences" / "08"
    return folder / "velodyne" / "000001.bin", folder / "labels" / "000001.label"


def expected_labels(path: Path) -> list[int]:
    ids = np.fromfile(path, "<u2")[::2].tolist()
    classes = [next(place for place, among in enumerate(IDS_OF_CLASS) if raw in among) for raw in ids]
    return [place or 255 for place in classes]


def test_the_map_covers_all_34_ids() -> None:
    assert sorted(set().union(*IDS_OF_CLASS)) == sorted(RAW_IDS + MOVING_IDS)
    assert len(RAW_IDS + MOVING_IDS) == 34
    assert len(CLASSES) == SemanticKITTIDataModule.num_classes == 20


def test_scans_come_as_they_lie_in_the_files(root: Path) -> None:
    for batch, number in zip(miniature(root).test_dataloader(), range(3), strict=True):
        folder = root / "dataset" / "sequences" / "08"
        values = np.fromfile(folder / "velodyne" / f"{number:06d}.bin", "<f4").reshape(-1, 4)
        assert torch.equal(torch.cat([batch.cloud.points, batch.cloud.features], 1), torch.from_numpy(values))
        assert batch.labels.tolist() == expected_labels(folder / "labels" / f"{number:06d}.label")
        assert batch.ids == [f"08/{number:06d}"]
        assert (batch.labels.dtype, batch.cloud.scene.tolist()) == (torch.int64, [0] * 40)


def test_subsets(root: Path) -> None:
    assert miniature(root).sample_ids() == ["08/000000", "08/000001", "08/000002"]
    assert miniature(root, limit=2).sample_ids() == ["08/000000", "08/000001"]
    train = ["00/000000", "00/000001", "00/000002", "05/000000", "05/000001", "10/000000"]
    assert miniature(root, subset="train").sample_ids() == train
    held = ["00/000002", "05/000001"]  # the only scan of sequence 10 is trained on
    assert miniature(root, subset="holdout").sample_ids() == held
    datamodule = SemanticKITTIDataModule(root)
    datamodule.setup("fit")
    assert sorted(i for batch in datamodule.train_dataloader() for i in batch.ids) == sorted({*train} - {*held})
    assert [i for batch in datamodule.val_dataloader() for i in batch.ids] == held


def test_hidden_files_are_no_scans(root: Path) -> None:
    (root / "dataset" / "sequences" / "08" / "velodyne" / "._000000.bin").write_bytes(b"what a Mac leaves elsewhere")
    assert len(miniature(root).sample_ids()) == 3


@pytest.mark.parametrize("below", ["", "dataset", ".."])
def test_data_root_may_be_the_folder_of_the_dataset_or_itself(root: Path, below: str) -> None:
    assert len(list(miniature(root / below).test_dataloader())) == 3
    assert isinstance(load_datamodule("semantickitti", data_root=root), SemanticKITTIDataModule)


def test_a_missing_sequence_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    root = write_semantickitti(tmp_path, {"00": 2})
    with pytest.raises(DataError, match=r"sequence 08 \(test\) in .*sequences; .*semantic-kitti.org.*LGM_BENCH_DATA"):
        miniature(root)
    assert len(miniature(root, subset="train").sample_ids()) == 2
    with pytest.raises(DataError, match="sequences 00, 01"):
        miniature(tmp_path / "nothing", subset="train")


def test_bad_options_are_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="no subset 'tset'; did you mean test"):
        SemanticKITTIDataModule(root, subset="tset")
    with pytest.raises(ConfigError, match="seed must be a whole number of at least 0, not -1"):
        SemanticKITTIDataModule(root, seed=-1)


def truncate(scan: Path, labels: Path) -> None:
    scan.write_bytes(scan.read_bytes()[:-3])


def empty(scan: Path, labels: Path) -> None:
    scan.write_bytes(b"")
    labels.write_bytes(b"")


def lose_the_labels(scan: Path, labels: Path) -> None:
    labels.unlink()


def lose_a_label(scan: Path, labels: Path) -> None:
    labels.write_bytes(labels.read_bytes()[:-4])


def half_a_label(scan: Path, labels: Path) -> None:
    labels.write_bytes(labels.read_bytes()[:-2])


def spoil(column: int, value: float):
    def change(scan: Path, labels: Path) -> None:
        values = np.fromfile(scan, "<f4").reshape(-1, 4)
        values[7, column] = value
        values.tofile(scan)

    return change


def unknown_id(scan: Path, labels: Path) -> None:
    values = np.fromfile(labels, "<u4")
    values[5] = 3 << 16 | 12
    values.tofile(labels)


def ignore_all(scan: Path, labels: Path) -> None:
    np.full(40, 5 << 16 | 99, "<u4").tofile(labels)


def scale(factor: float, kept: slice = slice(0)):
    def change(scan: Path, labels: Path) -> None:
        values = np.fromfile(scan, "<f4").reshape(-1, 4)
        as_they_were = values[kept].copy()
        values[:, :3] = (values[:, :3] + 0.5) * factor
        values[kept] = as_they_were
        values.tofile(scan)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (scale(1e6), r"velodyne/000001\.bin: all 40 points lie outside the grid \(50 m .*must be metres"),
        (truncate, r"velodyne/000001\.bin is truncated: its size, 637 bytes, is not a multiple of 16"),
        (empty, r"velodyne/000001\.bin holds no points"),
        (
            lose_the_labels,
            r"cannot read .*labels/000001\.label: No such file.*semantic-kitti\.org",
        ),
        (lose_a_label, r"velodyne/000001\.bin holds 40 points, but .*labels/000001\.label holds 39 labels"),
        (half_a_label, r"labels/000001\.label is truncated: its size, 158 bytes, is not a multiple of 4"),
        (
            spoil(1, np.nan),
            r"velodyne/000001\.bin: the coordinates of point 7 are \(.*, nan, .*\), which is not finite",
        ),
        (spoil(2, -np.inf), r"velodyne/000001\.bin: the coordinates of point 7 are \(.*-inf\)"),
        (spoil(3, np.nan), r"velodyne/000001\.bin: the features of point 7 are \(nan\)"),
        (spoil(3, 1.5), r"velodyne/000001\.bin: the reflectance of point 7 is \(1\.5\), not within 0 to 1"),
        (spoil(3, -0.5), r"the reflectance of point 7 is \(-0\.5\)"),
        (unknown_id, r"labels/000001\.label: label 5 has the unknown id 12"),
        (ignore_all, r"velodyne/000001\.bin: all 40 labels belong to ignored classes"),
    ],
)
def test_bad_files_are_named_with_the_reason(root: Path, change, message: str) -> None:
    change(*only_scan(root))
    batches = iter(miniature(root).test_dataloader())
    next(batches)
    with pytest.raises(DataError, match=message):
        next(batches)


def test_a_scan_of_one_point_is_read(root: Path) -> None:
    scan, labels = only_scan(root)
    np.array([1, 2, -3, 0.5], "<f4").tofile(scan)
    np.array([10], "<u4").tofile(labels)
    batch = list(miniature(root).test_dataloader())[1]
    assert batch.cloud.points.tolist() == [[1, 2, -3]]
    assert batch.labels.tolist() == [1]


def test_real_scans(samples: Path) -> None:
    root = samples / "data" / "semantickitti"
    assert [len(miniature(root, subset=subset).sample_ids()) for subset in ("test", "train", "holdout")] == [10, 50, 10]
    batch = next(iter(miniature(root, batch_size=2).test_dataloader()))
    scans, labels = [], []
    for number in ("000000", "000001"):
        folder = root / "dataset" / "sequences" / "08"
        scans.append(np.fromfile(folder / "velodyne" / f"{number}.bin", "<f4").reshape(-1, 4))
        labels += expected_labels(folder / "labels" / f"{number}.label")
    assert torch.equal(batch.cloud.points, torch.from_numpy(np.concatenate(scans)[:, :3]))
    assert batch.cloud.scene.bincount().tolist() == [len(scan) for scan in scans]
    assert batch.labels.tolist() == labels
    assert 0 <= batch.cloud.features.min() < batch.cloud.features.max() <= 1


def test_points_outside_the_grid_are_taken_beside_others(root: Path) -> None:
    """The published network counts them to its border cells, and the official score counts them too."""
    scale(1e6, kept=slice(8))(*only_scan(root))
    assert len(list(miniature(root).test_dataloader())[1].labels) == 40
