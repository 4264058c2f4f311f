from pathlib import Path

import numpy as np
import pytest
import torch
from indoor_files import random_vertices, write_ply, write_room

from datamodules import load_datamodule
from datamodules.s3dis import S3DISDataModule
from lgm_bench.errors import ConfigError, DataError

# The 13 classes in the order of Table IX, and the order of the usual .npy, written down apart from the code.
TABLE = [
    "clutter", "beam", "board", "bookcase", "ceiling", "chair", "column",
    "door", "floor", "sofa", "table", "wall", "window",
]  # fmt: skip
NPY = [
    "ceiling", "floor", "wall", "beam", "column", "window", "door",
    "table", "chair", "sofa", "bookcase", "board", "clutter",
]  # fmt: skip
PLY = [
    "clutter", "beam", "board", "bookcase", "ceiling", "chair", "column",
    "door", "floor", "sofa", "stairs", "table", "wall", "window",
]  # fmt: skip
OBJECTS = {"chair_2": 3, "chair_10": 4, "wall_1": 5, "stairs_1": 2, "lamp_1": 6, "clutter_1": 1}
ROOMS = ["Area_1/office_2", "Area_1/office_10", "Area_6/hallway_1", "Area_5/hallway_6", "Area_5/hallway_10"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for place, room in enumerate(ROOMS):
        write_room(tmp_path, room, OBJECTS, seed=place)
    return tmp_path


def opened(root: Path, **options) -> S3DISDataModule:
    datamodule = S3DISDataModule(root, **{"holdout": 1, **options})
    datamodule.setup("test")
    return datamodule


def first(root: Path):
    return next(iter(opened(root).test_dataloader()))


def annotation(root: Path, name: str) -> Path:
    return root / "Stanford3dDataset_v1.2_Aligned_Version" / "Area_5/hallway_6/Annotations" / f"{name}.txt"


def test_classes() -> None:
    assert list(S3DISDataModule.class_names) == TABLE


def test_rooms_come_as_they_lie_in_the_files(tmp_path: Path) -> None:
    written = write_room(tmp_path, "Area_5/hallway_6", OBJECTS)
    batch = first(tmp_path)
    order = ["chair_2", "chair_10", "clutter_1", "lamp_1", "stairs_1", "wall_1"]
    values = np.concatenate([written[name] for name in order])
    torch.testing.assert_close(batch.cloud.points, torch.tensor(values[:, :3]).float(), rtol=0, atol=0)
    torch.testing.assert_close(batch.cloud.features, torch.tensor(values[:, 3:] / 255).float(), rtol=0, atol=0)
    labels = {"chair_2": 5, "chair_10": 5, "clutter_1": 0, "lamp_1": 0, "stairs_1": 255, "wall_1": 11}
    assert batch.labels.tolist() == [labels[name] for name in order for _ in range(OBJECTS[name])]
    assert batch.ids == ["Area_5_hallway_6"]


def test_subsets(root: Path) -> None:
    assert opened(root).sample_ids() == ["Area_5_hallway_6", "Area_5_hallway_10"]
    assert opened(root, limit=1).sample_ids() == ["Area_5_hallway_6"]
    train = ["Area_1_office_2", "Area_1_office_10", "Area_6_hallway_1"]
    assert opened(root, subset="train").sample_ids() == train
    assert opened(root, subset="holdout", holdout=2).sample_ids() == train[1:]
    datamodule = S3DISDataModule(root, holdout=1)
    datamodule.setup("fit")
    assert sorted(i for batch in datamodule.train_dataloader() for i in batch.ids) == sorted(train[:2])
    assert [i for batch in datamodule.val_dataloader() for i in batch.ids] == train[2:]
    with pytest.raises(ConfigError, match="holdout 3 leaves none of the 3"):
        opened(root, subset="holdout", holdout=3)


def test_the_folder_of_the_areas_may_be_given(root: Path) -> None:
    assert len(opened(root / "Stanford3dDataset_v1.2_Aligned_Version").sample_ids()) == 2
    assert isinstance(load_datamodule("s3dis", data_root=root), S3DISDataModule)


def test_prepared_arrays(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (13, 7)).astype(float)
    values[:, 6] = range(13)
    np.save(tmp_path / "Area_5_hallway_6.npy", values)
    batch = first(tmp_path)
    assert [TABLE[label] for label in batch.labels] == NPY
    assert batch.ids == ["Area_5_hallway_6"]
    assert torch.equal(batch.cloud.points, torch.tensor(values[:, :3]).float())
    assert torch.equal(batch.cloud.features, torch.tensor(values[:, 3:6] / 255).float())


def test_ply_of_the_published_runs(tmp_path: Path) -> None:
    write_ply(tmp_path / "Area_5" / "hallway_6.ply", random_vertices(np.arange(14), "u1"))
    batch = first(tmp_path)
    assert batch.labels[10] == 255
    assert [TABLE[label] if label != 255 else "stairs" for label in batch.labels] == PLY
    assert batch.ids == ["Area_5_hallway_6"]


def test_points_of_no_class_in_the_published_runs_are_ignored(tmp_path: Path) -> None:
    write_ply(tmp_path / "Area_5" / "hallway_6.ply", random_vertices(np.array([255, 0, 255, 13]), "u1"))
    assert first(tmp_path).labels.tolist() == [255, TABLE.index(PLY[0]), 255, TABLE.index(PLY[13])]


@pytest.mark.parametrize(("channel", "value"), [("red", 256.0), ("green", -1.0)])
def test_colours_of_a_ply_file_out_of_range_are_named(tmp_path: Path, channel: str, value: float) -> None:
    vertices = random_vertices(np.arange(14), "u1")
    kinds = [(name, "<f4" if name in ("red", "green", "blue") else kind) for name, kind in vertices.dtype.descr]
    floats = vertices.astype(kinds)
    floats[channel][3] = value
    write_ply(tmp_path / "Area_5" / "hallway_6.ply", floats)
    with pytest.raises(
        DataError, match=rf"hallway_6\.ply: the colour of point 3 is .*{value:g}.*, not within 0 to 255"
    ):
        first(tmp_path)


def test_colours_between_0_and_1_are_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((5, 7))
    values[:, 6] = range(5)
    np.save(tmp_path / "Area_5_hallway_6.npy", values)
    with pytest.raises(DataError, match=r"hallway_6\.npy: all colours lie between 0 and 1; expected 0 to 255"):
        first(tmp_path)


def test_the_case_of_a_class_in_a_file_name_does_not_matter(root: Path) -> None:
    path = annotation(root, "chair_2")
    path.rename(path.with_name("Chair_2.txt"))
    assert (first(root).labels == TABLE.index("chair")).sum() == OBJECTS["chair_2"] + OBJECTS["chair_10"]


@pytest.mark.parametrize(
    ("stray", "value"), [("185\x10187 182", (185, 187, 182)), ("18\x105 187 182", (185, 187, 182))]
)
def test_stray_characters_of_the_official_files(root: Path, caplog, stray: str, value: tuple[int, ...]) -> None:
    path = annotation(root, "wall_1")
    lines = path.read_text().splitlines()
    lines[2] = f"22.350 6.692 3.048 {stray}"
    path.write_text("\n".join(lines) + "\n")
    batch = first(root)
    assert len(batch.labels) == 21
    place = 21 - 5 + 2
    assert (batch.cloud.features[place] * 255).round().tolist() == list(value)
    torch.testing.assert_close(batch.cloud.points[place], torch.tensor([22.350, 6.692, 3.048]))
    assert "wall_1.txt, line 3: read" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "chair_2.txt is empty"),
        ("1 2 3 4 5 6\n1 2 3 4 5\n", r"chair_2.txt, line 2: '1 2 3 4 5' is not 'x y z r g b'"),
        ("1 2 3 4 5 6\n\n1 2 3 4 5 6 7\n", "chair_2.txt, line 3"),
        ("1 2 three 4 5 6\n", "chair_2.txt, line 1"),
        ("1 2 3 4 5 \x106\x10 7\n", "chair_2.txt, line 1"),
        ("nan 2 3 4 5 6\n", "coordinates of point 0.*nan"),
        ("1 2 3 4 5 256\n", r"chair_2.txt: the colour of point 0 is \(4, 5, 256\)"),
        ("1 2 3 -4 5 25\n", r"the colour of point 0"),
    ],
)
def test_bad_text_is_named_with_its_line(root: Path, content: str, message: str) -> None:
    annotation(root, "chair_2").write_text(content)
    with pytest.raises(DataError, match=message):
        first(root)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((5, 6)), r"\(5, 6\).*not \(N, 7\)"),
        (np.zeros((0, 7)), "holds no points"),
        (np.full((5, 7), np.nan), "the label of point 0 is nan"),
        (np.array([[np.inf, 0, 0, 0, 0, 0, 1]]), "coordinates of point 0.*inf"),
        (np.array([[0, 0, 0, 300, 0, 0, 1]]), "colour of point 0"),
        (np.array([[0, 0, 0, 0, 0, 0, 13]]), "the label of point 0 is 13; expected 0 to 12"),
        (np.array([[0, 0, 0, 0, 0, 0, 0.5]]), "the label of point 0 is 0.5"),
        (np.array([["a"] * 7]), "of <U1, not"),
    ],
)
def test_bad_arrays(tmp_path: Path, values: np.ndarray, message: str) -> None:
    np.save(tmp_path / "Area_5_hallway_6.npy", values)
    with pytest.raises(DataError, match=message):
        first(tmp_path)


def test_a_truncated_array(tmp_path: Path) -> None:
    path = tmp_path / "Area_5_hallway_6.npy"
    np.save(path, np.zeros((100, 7)))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"hallway_6.npy is truncated"):
        first(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"7)", b"7("))  # the header is Python, and does not end now
    with pytest.raises(DataError, match=r"hallway_6.npy is truncated, damaged"):
        first(tmp_path)


def test_area_5_is_tested_on_and_no_other_that_begins_so(tmp_path: Path) -> None:
    for name in ("Area_5_office_1", "Area_51_office_1"):
        np.save(tmp_path / f"{name}.npy", np.ones((3, 7)))
    assert opened(tmp_path).sample_ids() == ["Area_5_office_1"]
    assert opened(tmp_path, subset="train").sample_ids() == ["Area_51_office_1"]


def test_bad_ply(tmp_path: Path) -> None:
    path = tmp_path / "Area_5" / "hallway_6.ply"
    write_ply(path, random_vertices(np.array([3, 14]), "u1"))
    with pytest.raises(DataError, match="the label of point 1 is 14; expected 0 to 13"):
        first(tmp_path)
    write_ply(path, random_vertices(np.array([10, 10]), "u1"))
    with pytest.raises(DataError, match="all 2 labels belong to ignored classes"):
        first(tmp_path)


def test_missing_data_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no rooms of S3DIS in .*Aligned_Version.zip.*LGM_BENCH_DATA"):
        opened(tmp_path)
    write_room(tmp_path, "Area_1/office_1", OBJECTS)
    with pytest.raises(DataError, match=r"no rooms of Area_5 \(test\)"):
        opened(tmp_path)
    (tmp_path / "Stanford3dDataset_v1.2_Aligned_Version/Area_5/office_1/Annotations").mkdir(parents=True)
    with pytest.raises(DataError, match="office_1/Annotations holds no objects"):
        first(tmp_path)


def test_a_room_of_stairs_only_measures_nothing(tmp_path: Path) -> None:
    write_room(tmp_path, "Area_5/office_1", {"stairs_1": 3})
    with pytest.raises(DataError, match="all 3 labels belong to ignored classes"):
        first(tmp_path)


def test_prepared_forms_are_the_same(root: Path) -> None:
    from datamodules.prepared import prepare

    before = list(opened(root).test_dataloader())
    prepare(opened(root), lambda *_: None)
    assert len(list((root / ".lgm-bench-cache").rglob("*.npz"))) == 5
    for old, new in zip(before, opened(root).test_dataloader(), strict=True):
        assert torch.equal(old.cloud.points, new.cloud.points)
        assert torch.equal(old.cloud.features, new.cloud.features)
        assert torch.equal(old.labels, new.labels)


def test_thinned_rooms_keep_the_first_point_of_each_cubic_centimetre(root: Path) -> None:
    lines = annotation(root, "wall_1").read_text().splitlines()
    moved = [" ".join([f"{float(lines[0].split()[0]) + 0.0001:.4f}", *lines[0].split()[1:]]), *lines]
    annotation(root, "wall_1").write_text("\n".join([*lines, moved[0]]) + "\n")
    thinned = load_datamodule("s3dis-1cm", data_root=root)
    scene, kept = opened(root).scene("Area_5_hallway_6"), thinned.scene("Area_5_hallway_6")
    cells = {tuple(cell) for cell in np.floor(scene.points.astype(np.float64) / 0.01).astype(int).tolist()}
    assert len(kept.points) == len(cells) == len(scene.points) - 1
    assert len(kept.labels) == len(kept.features) == len(cells)
