import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from indoor_files import ALL_NYU, random_vertices, scan_files, write_lists, write_ply, write_scan

from datamodules import load_datamodule
from datamodules.scannet import ScanNetDataModule
from lgm_bench.errors import ConfigError, DataError

# The benchmark's ids and names, in its documentation's order, written down apart from the code.
BENCHMARK = """1 wall, 2 floor, 3 cabinet, 4 bed, 5 chair, 6 sofa, 7 table, 8 door, 9 window, 10 bookshelf, 11 picture,
12 counter, 14 desk, 16 curtain, 24 refrigerator, 28 shower curtain, 33 toilet, 34 sink, 36 bathtub,
39 otherfurniture"""
IDS = [int(entry.split()[0]) for entry in BENCHMARK.split(",")]
TRAIN = [f"scene000{number}_00" for number in range(4)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for place, scene_id in enumerate([*TRAIN, "scene0011_00", "scene0011_01"]):
        write_scan(tmp_path, scene_id, seed=place)
    write_lists(tmp_path, TRAIN, ["scene0011_01", "scene0011_00"])
    return tmp_path


def opened(root: Path, **options) -> ScanNetDataModule:
    datamodule = ScanNetDataModule(root, **{"holdout": 1, **options})
    datamodule.setup("test")
    return datamodule


def expected_labels(nyu: np.ndarray) -> list[int]:
    return [IDS.index(number) if number in IDS else 255 for number in nyu.tolist()]


def test_classes() -> None:
    assert list(ScanNetDataModule.class_names) == [entry.split(maxsplit=1)[1] for entry in BENCHMARK.split(",")]
    assert ScanNetDataModule.num_classes == 20


def test_scans_come_as_they_lie_in_the_files(root: Path) -> None:
    batch = next(iter(opened(root).test_dataloader()))
    vertices = random_vertices(ALL_NYU, seed=5)
    assert batch.ids == ["scene0011_01"]
    assert torch.equal(batch.cloud.points, torch.tensor(np.stack([vertices[name] for name in "xyz"], 1)))
    colours = torch.tensor(np.stack([vertices[name] for name in ("red", "green", "blue")], 1)).float() / 255
    assert torch.equal(batch.cloud.features, colours)
    assert batch.labels.tolist() == expected_labels(ALL_NYU)
    assert batch.cloud.scene.tolist() == [0] * 41


def test_subsets_follow_the_lists(root: Path) -> None:
    assert opened(root).sample_ids() == ["scene0011_01", "scene0011_00"]
    assert opened(root, limit=1).sample_ids() == ["scene0011_01"]
    assert opened(root, subset="train").sample_ids() == TRAIN
    assert opened(root, subset="holdout", holdout=3).sample_ids() == TRAIN[1:]
    datamodule = ScanNetDataModule(root, holdout=1, batch_size=3)
    datamodule.setup("fit")
    (batch,) = datamodule.train_dataloader()
    assert sorted(batch.ids) == TRAIN[:3]
    assert torch.equal(batch.cloud.scene, torch.arange(3).repeat_interleave(41))
    assert [i for batch in datamodule.val_dataloader() for i in batch.ids] == TRAIN[3:]


def test_holdout_must_leave_something(root: Path) -> None:
    with pytest.raises(ConfigError, match="holdout 4 leaves none of the 4"):
        opened(root, subset="holdout", holdout=4)
    with pytest.raises(ConfigError, match="holdout must be"):
        ScanNetDataModule(root, holdout=-1)
    with pytest.raises(ConfigError, match="holdout must be"):
        ScanNetDataModule(root, subset="holdout", holdout=0)
    assert opened(root, holdout=0).training_ids() == TRAIN


@pytest.mark.parametrize("place", ["scans", "Tasks/Benchmark", ".."])
def test_lists_may_lie_beside_the_scans(tmp_path: Path, place: str) -> None:
    root = tmp_path / "mine"
    write_scan(root, "scene0011_00")
    write_lists(root / place, [], ["scene0011_00"])
    assert opened(root).sample_ids() == ["scene0011_00"]


def test_a_list_may_begin_with_a_byte_order_mark_but_name_no_scan_twice(root: Path) -> None:
    (root / "scannetv2_val.txt").write_bytes(b"\xef\xbb\xbfscene0011_00\r\nscene0011_01\r\n")
    assert opened(root).sample_ids() == ["scene0011_00", "scene0011_01"]
    write_lists(root, TRAIN, ["scene0011_00", "scene0011_01", "scene0011_00"])
    assert opened(root, limit=2).sample_ids() == ["scene0011_00", "scene0011_01"]
    with pytest.raises(DataError, match=r"scannet in .* has the sample 'scene0011_00' more than once in .* 'test'"):
        opened(root).test_dataloader()


@pytest.mark.parametrize("folder", ["", "train"])
def test_scans_of_the_published_runs(tmp_path: Path, folder: str) -> None:
    vertices = random_vertices(ALL_NYU, "u1")
    write_ply(tmp_path / folder / "scene0011_00.ply", vertices)
    write_lists(tmp_path, [], [f"{folder}/scene0011_00.ply".lstrip("/")])
    batch = next(iter(opened(tmp_path).test_dataloader()))
    assert batch.labels.tolist() == expected_labels(ALL_NYU)
    assert torch.equal(batch.cloud.points[:, 1], torch.tensor(vertices["y"].copy()))


def test_text_and_other_polygons_are_read_too(root: Path) -> None:
    points, labels = scan_files(root, "scene0011_01")
    before = next(iter(opened(root).test_dataloader()))
    write_ply(points, random_vertices(ALL_NYU, seed=5), without=("label",), text=True)
    content = labels.read_bytes()
    header = content.index(b"element face 3")
    vertices = content.index(b"end_header\n") + len(b"end_header\n") + 41 * 18
    square = bytes([4]) + bytes(16)
    labels.write_bytes(content[:header] + b"element face 1" + content[header + 14 : vertices] + square)
    after = next(iter(opened(root).test_dataloader()))
    assert torch.allclose(before.cloud.points, after.cloud.points)
    assert torch.equal(before.labels, after.labels)


def test_faulty_ids_of_official_scans_are_ignored(tmp_path: Path, caplog) -> None:
    write_scan(tmp_path, "scene0384_00", np.array([1, 149, 5]))
    write_lists(tmp_path, ["scene0384_00"], ["scene0384_00"])
    with caplog.at_level(logging.INFO):
        batch = next(iter(opened(tmp_path, holdout=0).test_dataloader()))
    assert batch.labels.tolist() == [0, 255, 4]
    assert "1 points with the faulty label 149" in caplog.text


def spoil_points(points: Path, labels: Path) -> None:
    vertices = random_vertices(ALL_NYU)
    vertices["y"][7] = np.nan
    write_ply(points, vertices, without=("label",))


def relabel(*nyu: float, label_type: str = "u2"):
    def spoil(points: Path, labels: Path) -> None:
        write_ply(points, random_vertices(np.array(nyu), label_type), without=("label",))
        write_ply(labels, random_vertices(np.array(nyu), label_type))

    return spoil


def cut(which: int, keep: float):
    def spoil(*files: Path) -> None:
        content = files[which].read_bytes()
        files[which].write_bytes(content[: int(len(content) * keep)])

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda _, labels: labels.unlink(), r"cannot read .*_00_vh_clean_2.labels.ply.*scan-net.org"),
        (lambda _, labels: write_ply(labels, random_vertices(ALL_NYU[:40])), "41 points.* holds 40 labels"),
        (lambda _, labels: write_ply(labels, random_vertices(ALL_NYU), ("label",)), "labels.ply have no label"),
        (
            lambda points, _: write_ply(points, random_vertices(ALL_NYU), ("red", "blue")),
            "vh_clean_2.ply have no red, blue",
        ),
        (spoil_points, r"the coordinates of point 7 are \(.*nan.*not finite"),
        (relabel(), "vh_clean_2.ply holds no points"),
        (relabel(0, 13, 40), "all 3 labels belong to ignored classes"),
        (relabel(13), "all 1 labels belong to ignored classes"),
        (relabel(1, 2, 41), "labels.ply: the label of point 2 is 41; NYU ids are 0 to 40"),
        (relabel(1, 1163), "the label of point 1 is 1163"),
        (relabel(1, -3, label_type="i2"), "the label of point 1 is -3"),
        (relabel(1, 2.5, label_type="f4"), "the label of point 1 is 2.5"),
        (cut(0, 0.5), "vh_clean_2.ply is truncated"),
        (cut(0, 0.02), "vh_clean_2.ply is truncated"),
        (cut(1, 0.5), "labels.ply is truncated"),
        (cut(0, 0.0), "vh_clean_2.ply is truncated, damaged or no .ply"),
        (lambda points, _: points.write_bytes(b"\x89PNG\r\n" * 50), "no .ply file"),
        (lambda points, _: points.write_bytes(b"ply\nformat ascii 1.0\nend_header\n"), "has no vertices"),
    ],
)
def test_bad_scans_are_named_with_the_reason(root: Path, spoil, message: str) -> None:
    spoil(*scan_files(root, "scene0011_00"))
    write_lists(root, TRAIN, ["scene0011_00"])
    datamodule = opened(root)
    with pytest.raises(DataError, match=message):
        list(datamodule.test_dataloader())


def test_a_single_point_is_a_scan(root: Path) -> None:
    relabel(5)(*scan_files(root, "scene0011_01"))
    assert next(iter(opened(root).test_dataloader())).labels.tolist() == [4]


def test_labels_that_contradict_their_colours_are_suspected(root: Path, caplog) -> None:
    wall, chair, table = (1, (174, 199, 232)), (5, (188, 189, 34)), (7, (255, 152, 150))
    _, path = scan_files(root, "scene0011_01")
    for kinds, suspected in (([wall, chair, table], False), ([wall, (7, chair[1]), (5, table[1])], True)):
        vertices = random_vertices(np.arange(41) % 3)
        for number, (label, colour) in enumerate(kinds):
            chosen = np.arange(41) % 3 == number
            vertices["label"][chosen] = label
            vertices["red"][chosen], vertices["green"][chosen], vertices["blue"][chosen] = colour
        write_ply(path, vertices)
        caplog.clear()
        next(iter(opened(root).test_dataloader()))
        assert ("scene0011_01_vh_clean_2.labels.ply: the labels of 66 %" in caplog.text) == suspected


def test_missing_data_is_explained(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no list scannetv2_val.txt .*scan-net.org.*LGM_BENCH_DATA"):
        opened(tmp_path / "nowhere" / "at all")
    write_lists(root, TRAIN, ["scene0011_00", "scene0999_00", "scene0999_01"])
    with pytest.raises(DataError, match=r"2 of the 3 scans .*scannetv2_val.txt.* first of them .*scene0999_00"):
        opened(root)
    with pytest.raises(DataError, match=r"shorten this list or set a limit \(--limit\)"):
        opened(root)
    assert len(list(opened(root, limit=1).test_dataloader())) == 1  # of these, the first is there
    write_lists(root, TRAIN, [])
    with pytest.raises(DataError, match="lists no scan"):
        opened(root)


def test_registered(root: Path) -> None:
    assert isinstance(load_datamodule("scannet", data_root=root, holdout=1), ScanNetDataModule)


def test_thinned_scans_keep_the_first_point_of_each_cubic_centimetre(root: Path, monkeypatch) -> None:
    points_file, labels_file = scan_files(root, "scene0011_00")
    vertices = random_vertices(np.tile(ALL_NYU, 50), seed=7)
    for name in "xyz":
        vertices[name] = vertices[name] / 100 - 0.02  # some thousand points in 125 cubes, on both sides of 0
    write_ply(points_file, vertices, without=("label",))
    write_ply(labels_file, vertices)
    whole, thinned = opened(root), load_datamodule("scannet-1cm", data_root=root)
    scene, kept = (datamodule.scene("scene0011_00") for datamodule in (whole, thinned))
    first: dict[tuple[int, ...], int] = {}
    for row, point in enumerate(scene.points.astype(np.float64)):
        first.setdefault(tuple(np.floor(point / 0.01).astype(int)), row)
    rows = list(first.values())
    assert 100 < len(rows) < len(scene.points) / 10
    for values, all_values in zip(kept, scene, strict=True):
        assert (values == all_values[rows]).all()
    thinned.prepared.save("scene0011_00", thinned.sources("scene0011_00"), thinned.official_scene)
    assert len(thinned.scene("scene0011_00").points) == len(rows)
    assert len(whole.scene("scene0011_00").points) == len(scene.points), "the copy belongs to the thinned scans"
    monkeypatch.setenv("LGM_BENCH_DATA", str(root.parent))
    assert load_datamodule("scannet-1cm").data_root == root.parent / "scannet"
