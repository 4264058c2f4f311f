import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import CIFAR_FOLDER, dump, write_cifar10
from torchvision.datasets import CIFAR10

from datamodules import load_datamodule
from datamodules.cifar10 import CIFAR10DataModule
from lgm_bench.errors import ConfigError, DataError, UnknownNameError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_cifar10(tmp_path / "cifar10")


def miniature(root: Path, **options) -> CIFAR10DataModule:
    datamodule = CIFAR10DataModule(root, **{"batch_size": 5, "holdout": 8, "verify": False} | options)
    datamodule.setup("test")
    return datamodule


def ids_of(loader) -> list[str]:
    return [sample_id for batch in loader for sample_id in batch.ids]


def raw(root: Path, name: str) -> tuple[np.ndarray, list[int]]:
    batch = pickle.loads((root / CIFAR_FOLDER / name).read_bytes(), encoding="latin1")
    return batch["data"].reshape(-1, 3, 32, 32), batch["labels"]


def test_test_images_come_as_they_lie_in_the_file(root: Path) -> None:
    datamodule = miniature(root)
    pixels, labels = raw(root, "test_batch")
    batches = list(datamodule.test_dataloader())
    assert [len(batch.ids) for batch in batches] == [5, 5, 2]
    images = torch.cat([batch.images for batch in batches])
    torch.testing.assert_close(images, torch.from_numpy(pixels) / 255, rtol=0, atol=0)
    assert torch.cat([batch.labels for batch in batches]).tolist() == labels
    assert ids_of(batches) == datamodule.sample_ids() == [f"test-{index:05d}" for index in range(12)]


@pytest.mark.parametrize(
    ("subset", "limit", "expected"),
    [
        ("test", 3, ["test-00000", "test-00001", "test-00002"]),
        ("test", 99, [f"test-{index:05d}" for index in range(12)]),
        ("train", 2, ["train-00000", "train-00001"]),
        ("holdout", None, [f"train-{index:05d}" for index in range(32, 40)]),
        ("holdout", 1, ["train-00032"]),
    ],
)
def test_subsets_and_limit(root: Path, subset: str, limit: int | None, expected: list[str]) -> None:
    datamodule = miniature(root, subset=subset, limit=limit)
    assert datamodule.sample_ids() == expected
    assert ids_of(datamodule.test_dataloader()) == expected


def test_holdout_is_the_validation_set_and_no_part_of_training(root: Path) -> None:
    datamodule = miniature(root, subset="holdout")
    validation, held_out = list(datamodule.val_dataloader()), list(datamodule.test_dataloader())
    assert ids_of(validation) == ids_of(held_out)
    pixels, labels = raw(root, "data_batch_5")
    assert torch.cat([batch.labels for batch in validation]).tolist() == labels
    images = torch.cat([batch.images for batch in validation])
    torch.testing.assert_close(images, torch.from_numpy(pixels) / 255, rtol=0, atol=0)
    trained = ids_of(miniature(root, batch_size=4).train_dataloader())
    assert sorted(trained) == [f"train-{index:05d}" for index in range(32)]


def test_done_ids_are_left_out_in_order(root: Path) -> None:
    datamodule = miniature(root, limit=6)
    datamodule.done = {"test-00000", "test-00004", "test-00011", "no such id"}
    assert ids_of(datamodule.test_dataloader()) == ["test-00001", "test-00002", "test-00003", "test-00005"]
    assert len(datamodule.sample_ids()) == 6
    datamodule.done = set(datamodule.sample_ids())
    assert ids_of(datamodule.test_dataloader()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit .* not 0"),
        ({"limit": -3}, "limit .* not -3"),
        ({"batch_size": 0}, "batch_size .* not 0"),
        ({"batch_size": 2.5}, "batch_size .* not 2.5"),
        ({"subset": "tets"}, "no subset 'tets'; did you mean test"),
        ({"holdout": -1}, "holdout .* not -1"),
        ({"holdout": 0.5}, "holdout .* not 0.5"),
        ({"holdout": 0, "subset": "holdout"}, "holdout .* not 0"),
        ({"holdout": 40, "subset": "train"}, "holdout 40 leaves none of the 40"),
    ],
)
def test_senseless_options_are_refused(root: Path, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        miniature(root, **options)


def test_other_contents_are_refused_unless_asked_for(root: Path) -> None:
    with pytest.raises(DataError, match=r"data_batch_1.*test_batch.*batches\.meta damaged or not the official file"):
        miniature(root, verify=True)


def test_missing_data_says_where_and_how_to_get_it(tmp_path: Path, monkeypatch) -> None:
    for verify in (True, False):
        with pytest.raises(DataError) as caught:
            miniature(tmp_path, verify=verify)
        for part in (f"no CIFAR-10 in {tmp_path / CIFAR_FOLDER}", CIFAR10.url, "(--data-root)", "LGM_BENCH_DATA"):
            assert part in str(caught.value)
    monkeypatch.setenv("LGM_BENCH_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match=f"{tmp_path}/elsewhere/cifar10/{CIFAR_FOLDER}"):
        miniature(None)


def test_data_root_is_found_by_environment_and_else_below_the_working_directory(root: Path, monkeypatch) -> None:
    monkeypatch.setenv("LGM_BENCH_DATA", str(root.parent))
    assert miniature(None).data_root == root
    monkeypatch.delenv("LGM_BENCH_DATA")
    assert CIFAR10DataModule().data_root == Path("data/cifar10")


def test_one_missing_batch_is_named(root: Path) -> None:
    (root / CIFAR_FOLDER / "data_batch_3").unlink()
    with pytest.raises(DataError, match="is incomplete: data_batch_3 missing"):
        miniature(root)


@pytest.mark.parametrize("name", ["test_batch", "data_batch_2", "batches.meta"])
@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_truncated_file_is_named(root: Path, name: str, kept: int) -> None:
    path = root / CIFAR_FOLDER / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=f"{name} is truncated, damaged"):
        miniature(root)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([1, 2], "must contain 'data'"),
        ({"labels": [1]}, "must contain 'data'"),
        ({"data": np.zeros((1, 3072), np.float32), "labels": [1]}, "uint8"),
        ({"data": np.zeros((1, 100), np.uint8), "labels": [1]}, "3072"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "a list of 2 labels"),
        ({"data": np.zeros((1, 3072), np.uint8)}, "must contain 'labels'"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}, "label 10; CIFAR-10's are 0 to 9"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": ["cat"]}, "label of type str"),
    ],
)
def test_another_layout_is_refused(root: Path, batch: object, message: str) -> None:
    dump(batch, root / CIFAR_FOLDER / "data_batch_4")
    with pytest.raises(DataError, match=f"data_batch_4.*{message}"):
        miniature(root)


class Harmful:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", ["test_batch", "data_batch_1", "batches.meta"])
def test_no_code_in_a_file_is_run(root: Path, name: str, verify: bool, tmp_path: Path) -> None:
    marker = tmp_path / "code ran"
    payload = {"labels": [], "data": np.zeros((0, 3072), np.uint8), "label_names": [], "x": Harmful(marker)}
    dump(payload, root / CIFAR_FOLDER / name)
    with pytest.raises(DataError, match=name):
        miniature(root, verify=verify)
    assert not marker.exists()
    pickle.loads((root / CIFAR_FOLDER / name).read_bytes())
    assert marker.exists()


def test_a_name_stands_for_a_datamodule(root: Path) -> None:
    assert isinstance(load_datamodule("cifar10", data_root=root), CIFAR10DataModule)
    with pytest.raises(UnknownNameError, match="did you mean cifar10"):
        load_datamodule("cifar100")


def test_official_images(samples: Path) -> None:
    datamodule = CIFAR10DataModule(samples / "data" / "cifar10")
    datamodule.setup("test")
    reader = CIFAR10(str(samples / "data" / "cifar10"), train=False)
    batch = next(iter(datamodule.test_dataloader()))
    assert torch.equal((batch.images * 255).round().byte().permute(0, 2, 3, 1), torch.from_numpy(reader.data[:128]))
    assert batch.labels.tolist() == reader.targets[:128]
    assert list(datamodule.class_names) == reader.classes
    assert len(datamodule.sample_ids()) == 10_000
    datamodule.setup("fit")
    assert len(datamodule.train_dataloader()) == 45_000 // 128
    assert sum(len(batch.ids) for batch in datamodule.val_dataloader()) == 5_000


def test_a_truncated_official_file_is_named(samples: Path, tmp_path: Path) -> None:
    official, copy = samples / "data" / "cifar10" / CIFAR_FOLDER, tmp_path / CIFAR_FOLDER
    copy.mkdir()
    for path in official.iterdir():
        (copy / path.name).symlink_to(path.resolve())
    content = (official / "data_batch_2").read_bytes()
    (copy / "data_batch_2").unlink()
    (copy / "data_batch_2").write_bytes(content[:-1000])
    assert hashlib.md5(content).hexdigest() == CIFAR10.train_list[1][1]
    with pytest.raises(DataError, match="is incomplete: data_batch_2 damaged or not the official file") as caught:
        CIFAR10DataModule(tmp_path).setup("test")
    assert "data_batch_3" not in str(caught.value)
