from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from street_and_shape_files import write_box, write_hdf5_shapes, write_text_shapes

from datamodules.modelnet40 import ModelNet40DataModule
from datamodules.modelnet40_forms import CLASSES, TRAINING_SHAPES
from lgm_bench import extras
from lgm_bench.errors import ConfigError, DataError

TEXT, HDF5 = "modelnet40_normal_resampled", "modelnet40_ply_hdf5_2048"


def datamodule_of(root: Path, **options) -> ModelNet40DataModule:
    datamodule = ModelNet40DataModule(root, **options)
    datamodule.setup("test")
    return datamodule


def in_unit_sphere(points: np.ndarray) -> np.ndarray:
    centred = points - points.mean(0)
    return centred / np.sqrt((centred**2).sum(1)).max()


def test_there_are_the_official_numbers_of_classes_and_training_shapes() -> None:
    assert len(CLASSES) == 40
    assert list(CLASSES) == sorted(CLASSES)
    assert sum(TRAINING_SHAPES.values()) == 9843


def test_text_without_lists_is_split_by_the_official_numbers(tmp_path: Path) -> None:
    names = ["airplane_0626", "airplane_0627", "airplane_0001", "tv_stand_0267", "tv_stand_0268", "xbox_0104"]
    root = write_text_shapes(tmp_path, names)
    assert datamodule_of(root, subset="train").sample_ids() == ["airplane_0001", "tv_stand_0267", "airplane_0626"]
    batch = next(iter(datamodule_of(root).test_dataloader()))
    assert batch.ids == ["airplane_0627", "tv_stand_0268", "xbox_0104"]
    assert batch.labels.tolist() == [0, 36, 39]
    assert batch.cloud.features.shape == (3 * 2048, 0)
    assert batch.cloud.scene.tolist() == [0] * 2048 + [1] * 2048 + [2] * 2048
    for place, name in enumerate(batch.ids):
        path = root / TEXT / name.rpartition("_")[0] / f"{name}.txt"
        lines = path.read_text().splitlines()[:2048]
        expected = in_unit_sphere(np.array([[float(word) for word in line.split(",")[:3]] for line in lines]))
        np.testing.assert_allclose(batch.cloud.points[batch.cloud.scene == place].numpy(), expected, atol=1e-6)


def test_lists_decide_where_they_are_there(tmp_path: Path) -> None:
    root = write_text_shapes(tmp_path, ["bed_0001", "bed_0002", "bed_0600"])
    (root / TEXT / "modelnet40_test.txt").write_text("bed_0002\n")
    (root / TEXT / "modelnet40_train.txt").write_text("bed_0600\nbed_0001\n")
    (root / TEXT / "modelnet40_shape_names.txt").write_text("\n".join(CLASSES))
    assert datamodule_of(root).sample_ids() == ["bed_0002"]
    assert datamodule_of(root, subset="train").sample_ids() == ["bed_0600", "bed_0001"]
    (root / TEXT / "modelnet40_test.txt").write_text("bed_0003")
    with pytest.raises(DataError, match=r"cannot read .*bed_0003\.txt: No such file"):
        list(datamodule_of(root).test_dataloader())
    (root / TEXT / "modelnet40_test.txt").write_text("bde_0002")
    with pytest.raises(DataError, match=r"modelnet40_test\.txt: 'bde_0002' is not the name of.*did you mean bed"):
        datamodule_of(root)
    (root / TEXT / "modelnet40_shape_names.txt").write_text("airplane\ncastle")
    with pytest.raises(DataError, match=r"shape_names\.txt does not name .* castle"):
        datamodule_of(root)


def test_hdf5(tmp_path: Path) -> None:
    labels = {"ply_data_train0": [3, 3, 7], "ply_data_test0": [5, 5], "ply_data_test1": [2]}
    root = write_hdf5_shapes(tmp_path, labels)
    datamodule = datamodule_of(root)
    batch = next(iter(datamodule.test_dataloader()))
    assert batch.ids == ["ply_data_test1/00000", "ply_data_test0/00000", "ply_data_test0/00001"]
    assert batch.labels.tolist() == [2, 5, 5]
    with h5py.File(root / HDF5 / "ply_data_test0.h5") as file:
        expected = in_unit_sphere(file["data"][1].astype(np.float64))
    np.testing.assert_allclose(batch.cloud.points[-2048:].numpy(), expected, atol=1e-6)
    assert len(datamodule_of(root, subset="train").sample_ids()) == 3
    assert not datamodule.prepares


def sampled(root: Path, mesh: str) -> np.ndarray:
    path = write_box(root, "desk_0001", "test", (1, 2, 4))
    path.write_text(mesh)
    return next(iter(datamodule_of(root, points=20_000).test_dataloader())).cloud.points.double().numpy()


def test_lines_of_a_mesh_may_be_broken_anywhere(tmp_path: Path) -> None:
    text = write_box(tmp_path, "desk_0001", "test", (1, 2, 4)).read_text()
    header, rest = text.split("\n", 1)
    expected = sampled(tmp_path, text)
    for number, mesh in enumerate((f"{header}\n" + rest.replace(" ", "\n"), f"{header} {' '.join(rest.split())}\n")):
        np.testing.assert_array_equal(sampled(tmp_path / str(number), mesh), expected)
    coloured = [line + " 255 0 0" * (number > 1) for number, line in enumerate(text.splitlines())]
    np.testing.assert_array_equal(sampled(tmp_path / "coloured", "\n".join(coloured)), expected)


def test_a_pentagon_is_sampled_uniformly(tmp_path: Path) -> None:
    house = "OFF\n5 1 0\n0 0 0\n2 0 0\n2 0 1\n1 0 2\n0 0 1\n5 0 1 2 3 4\n"
    points = sampled(tmp_path, house)
    height = (points[:, 1] - points[:, 1].min()) / np.ptp(points[:, 1]) * 2  # y points up; the house is 2 high
    assert (height > 1).mean() == pytest.approx(1 / 3, abs=0.01)  # the gable has a third of the area


@pytest.mark.parametrize("header", ["OFF\n", "OFF", "# a comment\nOFF\n\n", "OFF \r\n"])
def test_meshes_are_sampled_in_proportion_to_area(tmp_path: Path, header: str) -> None:
    x, y, z = 1.0, 2.0, 4.0
    write_box(tmp_path, "desk_0001", "test", (x, y, z), header)
    datamodule = datamodule_of(tmp_path, points=20_000)
    points = next(iter(datamodule.test_dataloader())).cloud.points.double().numpy()
    # Undo the turn that lets y point up, the centring and the scaling: the box is known.
    turned = points[:, [0, 2, 1]] * [1, -1, 1]
    span = np.ptp(turned, axis=0)
    np.testing.assert_allclose(span / span[0], [1, 2, 4], rtol=1e-3)
    in_box = (turned - turned.min(0)) / span * [x, y, z]
    on_face = {
        (axis, side): (np.abs(in_box[:, axis] - side) < 1e-3).mean()
        for axis, extent in enumerate((x, y, z))
        for side in (0.0, extent)
    }
    areas = {0: y * z, 1: x * z, 2: x * y}
    for (axis, _), share in on_face.items():
        expected = areas[axis] / (2 * sum(areas.values()))
        assert abs(share - expected) < 4 * np.sqrt(expected / 20_000) + 0.003  # 4 sigma, and the points on the edges
    top = in_box[np.abs(in_box[:, 2] - z) < 1e-6]
    counts, _, _ = np.histogram2d(top[:, 0], top[:, 1], bins=3)
    assert (np.abs(counts / len(top) - 1 / 9) < 4 * np.sqrt(1 / 9 / len(top))).all()


def test_meshes_are_sampled_the_same_every_time_and_each_otherwise(tmp_path: Path) -> None:
    for name, split in (("desk_0201", "test"), ("desk_0202", "test"), ("desk_0001", "train")):
        write_box(tmp_path, name, split, (1, 2, 3))
    first, second = (next(iter(datamodule_of(tmp_path).test_dataloader())) for _ in range(2))
    assert torch.equal(first.cloud.points, second.cloud.points)
    alone = next(iter(datamodule_of(tmp_path, batch_size=1).test_dataloader()))
    assert torch.equal(alone.cloud.points, first.cloud.points[:2048])
    assert not torch.equal(first.cloud.points[:2048], first.cloud.points[2048:])
    assert datamodule_of(tmp_path, subset="train").sample_ids() == ["desk_0001"]


def test_one_id_in_both_splits_is_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_box(tmp_path, "desk_0001", split, (1, 2, 3))
    datamodule = ModelNet40DataModule(tmp_path)
    datamodule.setup("fit")
    with pytest.raises(DataError, match=r"test/desk_0001\.off and .*train/desk_0001\.off have the same id"):
        datamodule.setup("test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "does not begin like a mesh"),
        ("PLY\n1 2 3\n", "does not begin like a mesh"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n", "is truncated: it has 3 lines for 3 vertices and 1 faces"),
        ("OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n3 0", "is truncated: it has 5 lines for 3 vertices and 2 faces"),
        ("OFF\n3 1 0\n0 0 0\n1 0 x\n0 1 0\n3 0 1 2\n", "is no mesh in the OFF format"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "a face has the vertex 7; there are 0 to 2"),
        (
            "OFF\n3 1 0\n0 0 0 1\n0 0 0 1 0\n3 0 1 2 9\n",
            "is no mesh in the OFF format: 1 more values follow",
        ),
        ("OFF\n3 1 0\n0 0 0\n1 0 nan\n0 1 0\n3 0 1 2\n", "coordinates of point 1 are .*nan"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n", "has no surface"),
        ("OFF\n3 0 0\n0 0 0\n1 0 0\n2 0 0\n", "has no surface|no mesh"),
    ],
)
def test_bad_meshes_are_named_with_the_reason(tmp_path: Path, content: str, message: str) -> None:
    write_box(tmp_path, "desk_0001", "test", (1, 1, 1)).write_text(content)
    with pytest.raises(DataError, match=rf"desk_0001\.off:? .*({message})|desk_0001\.off: the {message}"):
        list(datamodule_of(tmp_path).test_dataloader())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds 0 points where 4 are needed"),
        ("1,2,3,0,0,1\n" * 3, "holds 3 points where 4 are needed"),
        ("1,2,3,0,0,1\n" * 4, "all points coincide"),
        ("1,2,3,0,0,1\n" * 3 + "1,2", "is no list of x,y,z,nx,ny,nz"),
        ("1,2,three,0,0,1\n" * 4, "is no list of x,y,z,nx,ny,nz"),
        ("1,2,3,0,0,1\n" * 3 + "1,nan,3,0,0,1\n", "coordinates of point 3 are .1, nan, 3."),
    ],
)
def test_bad_text_is_named_with_the_reason(tmp_path: Path, content: str, message: str) -> None:
    root = write_text_shapes(tmp_path, ["airplane_0627"])
    (root / TEXT / "airplane" / "airplane_0627.txt").write_text(content)
    with pytest.raises(DataError, match=rf"airplane_0627\.txt:? .*{message}"):
        list(datamodule_of(root, points=4).test_dataloader())


def test_a_truncated_or_foreign_hdf5_file_is_named(tmp_path: Path) -> None:
    root = write_hdf5_shapes(tmp_path, {"ply_data_test0": [40]})
    path = root / HDF5 / "ply_data_test0.h5"
    with pytest.raises(DataError, match=r"ply_data_test0\.h5: shape 0 has the class 40; there are 0 to 39"):
        datamodule_of(root)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"ply_data_test0\.h5 is damaged"):
        datamodule_of(root)
    with h5py.File(path, "w") as file:
        file["label"] = np.zeros((1, 1), np.uint8)
    with pytest.raises(DataError, match=r"ply_data_test0\.h5 is damaged, or lacks 'data'"):
        list(datamodule_of(root).test_dataloader())


@pytest.mark.parametrize(
    ("data", "label"),
    [
        (np.ones((3, 9, 3)), np.ones((2, 1), np.uint8)),
        (np.ones((2, 9, 3)), np.ones((3, 1), np.uint8)),
        (np.ones((2, 9, 6)), np.ones((2, 1), np.uint8)),
        (np.ones((2, 9)), np.ones((2, 1), np.uint8)),
        (np.ones((2, 9, 3)), np.array([[1.5], [2.5]])),
        (np.ones((2, 9, 3)), np.array([b"bed", b"car"])),
        (np.full((2, 9, 3), b"x"), np.ones((2, 1), np.uint8)),
    ],
)
def test_other_arrays_in_hdf5_are_named(tmp_path: Path, data: np.ndarray, label: np.ndarray) -> None:
    root = write_hdf5_shapes(tmp_path, {"ply_data_test0": [1]})
    with h5py.File(root / HDF5 / "ply_data_test0.h5", "w") as file:
        file["data"], file["label"] = data, label
    with pytest.raises(DataError, match=r"ply_data_test0\.h5 holds 'data' of .* and 'label' of .*, not numbers"):
        list(datamodule_of(root, points=4).test_dataloader())


def test_groups_in_hdf5_are_named(tmp_path: Path) -> None:
    root = write_hdf5_shapes(tmp_path, {"ply_data_test0": [1]})
    with h5py.File(root / HDF5 / "ply_data_test0.h5", "w") as file:
        file.create_group("label")
        file.create_group("data")
    with pytest.raises(DataError, match=r"ply_data_test0\.h5 is damaged, or lacks 'data'"):
        datamodule_of(root)


def test_hidden_files_are_no_shapes(tmp_path: Path) -> None:
    for path in (
        write_text_shapes(tmp_path / "text", ["bed_0516"]) / TEXT / "bed" / "bed_0516.txt",
        write_box(tmp_path / "meshes", "bed_0516", "test", (1, 2, 3)),
    ):
        path.with_name(f"._{path.name}").write_bytes(b"what a Mac leaves on other disks")
    for root in (tmp_path / "text", tmp_path / "meshes"):
        assert datamodule_of(root).sample_ids() == ["bed_0516"]


def test_missing_data_says_what_was_looked_for_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"no ModelNet40 in {tmp_path}.*{TEXT}.*LGM_BENCH_DATA"):
        datamodule_of(tmp_path)
    with pytest.raises(DataError, match="holds no test shapes"):
        datamodule_of(write_text_shapes(tmp_path, ["bed_0001"]))
    assert datamodule_of(tmp_path / TEXT, subset="train").sample_ids() == ["bed_0001"]
    (tmp_path / TEXT / "castle").mkdir()
    (tmp_path / TEXT / "castle" / "castle_0001.txt").write_text("")
    with pytest.raises(DataError, match=r"castle_0001\.txt: 'castle_0001' is not the name of a shape"):
        datamodule_of(tmp_path, subset="train")


def test_a_missing_library_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_hdf5_shapes(tmp_path, {"ply_data_test0": [1]})

    def absent(name: str):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(extras.importlib, "import_module", absent)
    with pytest.raises(ConfigError, match=r"reading \.h5 files needs h5py .*pip install 'lgm-bench\[points\]'"):
        datamodule_of(root)


def test_the_holdout_is_a_share_of_every_class_and_not_trained_on(tmp_path: Path) -> None:
    names = [
        f"{name}_{number:04d}"
        for name, count in (("bed", 10), ("car", 5), ("cup", 1))
        for number in range(1, count + 1)
    ]
    root = write_text_shapes(tmp_path, names, points=3)
    options = {"holdout": 0.2, "points": 3, "batch_size": 1}
    held = datamodule_of(root, subset="holdout", **options).sample_ids()
    assert Counter(name.rpartition("_")[0] for name in held) == {"bed": 2, "car": 1}
    training = ModelNet40DataModule(root, **options)
    training.setup("fit")
    assert [i for batch in training.val_dataloader() for i in batch.ids] == held
    assert sorted(i for batch in training.train_dataloader() for i in batch.ids) == sorted({*names} - {*held})
    for holdout, subset in ((1, "test"), (-0.1, "test"), (0, "holdout")):
        with pytest.raises(ConfigError, match="holdout must be the share"):
            ModelNet40DataModule(root, holdout=holdout, subset=subset)


def test_a_limit_takes_classes_evenly(tmp_path: Path) -> None:
    root = write_text_shapes(
        tmp_path, ["bed_0001", "bed_0002", "bed_0003", "car_0001", "cup_0001", "cup_0002"], points=1
    )
    datamodule = datamodule_of(root, subset="train", limit=4, points=1)
    assert datamodule.sample_ids() == ["bed_0001", "car_0001", "cup_0001", "bed_0002"]
    batch = next(iter(datamodule.test_dataloader()))
    assert batch.cloud.points.tolist() == [[0.0] * 3] * 4  # a single point is its own centre


def test_real_shapes(samples: Path) -> None:
    root = samples / "data" / "modelnet40"
    files = {path.stem: path for path in (root / TEXT).glob("*/*.txt")}
    ids = {subset: datamodule_of(root, subset=subset).sample_ids() for subset in ("test", "train", "holdout")}
    assert {*ids["test"]} | {*ids["train"]} == {*files}
    assert (len(ids["test"]), len(ids["train"]), len(files)) == (36, 187, 223)
    assert 0 < len(ids["holdout"]) < 30
    assert {*ids["holdout"]} < {*ids["train"]}
    for batch in datamodule_of(root, batch_size=12).test_dataloader():
        norms = batch.cloud.points.norm(dim=1).view(len(batch.ids), -1)
        torch.testing.assert_close(norms.max(1).values, torch.ones(len(batch.ids)))
        for place, name in enumerate(batch.ids):
            expected = in_unit_sphere(np.genfromtxt(files[name], delimiter=",")[:2048, :3])
            np.testing.assert_allclose(batch.cloud.points[batch.cloud.scene == place].numpy(), expected, atol=1e-6)
            assert CLASSES[batch.labels[place]] == files[name].parent.name
