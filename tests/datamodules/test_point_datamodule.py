"""What point data sets have in common, on scenes that are made on the fly."""

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.batch import IGNORED
from datamodules.point_datamodule import PointDataModule
from datamodules.sampler import RankStridedSampler, ShuffledSampler
from datamodules.scene import Scene, check_scene
from lgm_bench.errors import ConfigError, DataError


class Toy(PointDataModule):
    """Scene k has k + 1 points."""

    name = "toy"
    task = "segmentation"
    num_classes = 4
    class_names = tuple("abcd")
    subsets = ("test", "train", "holdout")

    def __init__(self, batch_size: int = 2, limit: int | None = None, subset: str = "test", seed: int = 0) -> None:
        super().__init__("nowhere", batch_size, limit, subset, seed)

    def list_ids(self, subset: str) -> list[str]:
        numbers = {"test": range(7), "train": range(20, 30), "holdout": (23, 29)}[subset]
        return [f"scene{number}" for number in numbers]

    def read(self, scene_id: str) -> Scene:
        number = int(scene_id.removeprefix("scene"))
        points = np.arange(3 * (number + 1), dtype=np.float32).reshape(-1, 3) + number
        return Scene(points, points[:, :2] / 100, np.arange(number + 1) % 4)

    def file(self, scene_id: str) -> Path:
        return Path(scene_id)


class ToyShapes(Toy):
    task = "classification"

    def read(self, scene_id: str) -> Scene:
        scene = super().read(scene_id)
        return scene._replace(labels=np.array([len(scene.points) % 4]), features=np.empty((len(scene.points), 0)))


def test_scenes_become_one_batch() -> None:
    batches = list(Toy(batch_size=3).test_dataloader())
    assert [batch.ids for batch in batches] == [
        ["scene0", "scene1", "scene2"],
        ["scene3", "scene4", "scene5"],
        ["scene6"],
    ]
    cloud = batches[0].cloud
    assert cloud.scene.tolist() == [0, 1, 1, 2, 2, 2]
    assert cloud.points.tolist() == [[0, 1, 2], [1, 2, 3], [4, 5, 6], [2, 3, 4], [5, 6, 7], [8, 9, 10]]
    torch.testing.assert_close(cloud.features, cloud.points[:, :2] / 100)
    assert batches[0].labels.tolist() == [0, 0, 1, 0, 1, 2]
    dtypes = (cloud.points.dtype, cloud.features.dtype, cloud.scene.dtype, batches[0].labels.dtype)
    assert dtypes == (torch.float32, torch.float32, torch.int64, torch.int64)


def test_shapes_have_a_label_each_and_may_have_no_features() -> None:
    batch = next(iter(ToyShapes(batch_size=3).test_dataloader()))
    assert batch.labels.tolist() == [1, 2, 3]
    assert batch.cloud.features.shape == (6, 0)
    assert batch.cloud.features.dtype == torch.float32


def test_limit_done_and_ranks() -> None:
    datamodule = Toy(limit=5)
    assert datamodule.sample_ids() == [f"scene{number}" for number in range(5)]
    datamodule.done = {"scene1", "scene4", "scene6"}
    assert [i for batch in datamodule.test_dataloader() for i in batch.ids] == ["scene0", "scene2", "scene3"]
    sampler = datamodule.test_sampler()
    assert isinstance(sampler, RankStridedSampler)
    assert sampler.indices == [0, 2, 3]
    datamodule.done = set(datamodule.sample_ids())
    assert list(datamodule.test_dataloader()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size .* not 0"),
        ({"limit": -1}, "limit .* not -1"),
        ({"subset": "tets"}, "toy has no subset 'tets'; did you mean test"),
        ({"seed": -1}, "seed .* not -1"),
    ],
)
def test_senseless_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Toy(**options)


def epoch(number: int, **options) -> dict[str, torch.Tensor]:
    loader = Toy(**options).train_dataloader()
    loader.order.set_epoch(number)
    return {
        name: batch.cloud.points[batch.cloud.scene == place] for batch in loader for place, name in enumerate(batch.ids)
    }


def test_training_order_follows_seed_and_epoch() -> None:
    trained = [f"scene{number}" for number in range(20, 29) if number != 23]
    for seed, number in ((0, 0), (0, 1), (3, 0)):
        order = ShuffledSampler(8, seed)
        order.set_epoch(number)
        assert list(epoch(number, seed=seed)) == [trained[index] for index in order]
    validated = [i for batch in Toy(subset="train").val_dataloader() for i in batch.ids]
    assert validated == ["scene23", "scene29"]


def test_augmentation_follows_seed_epoch_and_id_and_nothing_else() -> None:
    first = epoch(2, seed=1)
    for again in (epoch(2, seed=1), epoch(2, seed=1, batch_size=4)):
        assert all(torch.equal(first[name], again[name]) for name in first)
    for other in (epoch(3, seed=1), epoch(2, seed=2)):
        assert not any(torch.equal(first[name], other[name]) for name in first)
    plain = torch.from_numpy(Toy().read("scene20").points)
    assert not torch.allclose(first["scene20"], plain)


def test_two_loaders_give_identical_batches() -> None:
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        first, second = (list(getattr(Toy(seed=4), loader)()) for _ in range(2))
        assert len(first) == len(second) > 0
        for one, other in zip(first, second, strict=True):
            assert one.ids == other.ids
            assert all(
                torch.equal(a, b) for a, b in zip((*one.cloud, one.labels), (*other.cloud, other.labels), strict=True)
            )


def test_an_epoch_that_was_stopped_goes_on_where_it_was() -> None:
    whole = [batch.ids for batch in Toy().train_dataloader()]
    loader = Toy().train_dataloader()
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    resumed = Toy().train_dataloader()
    resumed.load_state_dict(state)
    assert [batch.ids for batch in resumed] == whole[1:]
    assert [batch.ids for batch in resumed] == whole


def test_a_batch_larger_than_the_training_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size 9 is more than the 8 training scenes of one process"):
        Toy(batch_size=9).train_dataloader()


GOOD = Scene(np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32), np.array([0, IGNORED]))


def test_a_good_scene_passes_with_one_point_too() -> None:
    assert check_scene(GOOD, Path("a.ply"), "segmentation", 4) is GOOD
    one = Scene(*(array[:1] for array in GOOD))
    assert check_scene(one, Path("a.ply"), "segmentation", 4) is one
    shape = GOOD._replace(labels=np.array([3]))
    assert check_scene(shape, Path("a.ply"), "classification", 4) is shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": np.zeros((0, 3))}, "a.ply holds no points"),
        ({"points": np.array([[0, 0, 0], [1, np.nan, 2]])}, r"coordinates of point 1 are \(1, nan, 2\)"),
        ({"points": np.array([[0, 0, np.inf], [1, 1, 2]])}, r"coordinates of point 0 are \(0, 0, inf\)"),
        ({"features": np.array([[0], [np.nan]])}, r"features of point 1 are \(nan\)"),
        ({"features": np.zeros((3, 1))}, "a.ply holds 2 points, but features of 3"),
        ({"labels": np.array([1])}, "a.ply holds 2 points, but has 1 labels"),
        ({"labels": np.array([1, 4])}, "a.ply holds the class 4; there are 0 to 3"),
        ({"labels": np.array([-1, 1])}, "a.ply holds the class -1"),
        ({"labels": np.array([IGNORED, IGNORED])}, "a.ply: all 2 labels belong to ignored classes"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_reason(change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_scene(GOOD._replace(**change), Path("a.ply"), "segmentation", 4)
