"""What every attack on points promises: bounds, independence of the batch, repeatability, no side effects."""

from functools import partial

import pytest
import torch
from point_cases import VICTIMS, attacked, batch, only, perturbed, victim

from datamodules.batch import PointBatch
from lgm_bench.attacks import ATTACKS, IMAGE_ATTACKS, POINT_ATTACKS, KNNPert, PointBIM, PointPert, RandomPerturbation
from lgm_bench.attacks.budgets import Cubes
from lgm_bench.leaded import FGM, LGM
from lgm_bench.registry import resolve
from lgm_bench.tasks.clouds import Scenes
from lgm_bench.voxels import VoxelSlopes

QUICK = {
    "random": partial(RandomPerturbation, steps=3),
    "pointbim": partial(PointBIM, step=0.01, steps=3),
    "pointpert": partial(PointPert, step=0.01, steps=3),
    "knnpert": partial(KNNPert, step=0.01, steps=3),
}
SCENES, SHAPES = "minkunet14-scannet", "minknet-small-modelnet40"


def test_registered_under_their_names() -> None:
    assert set(QUICK) == set(POINT_ATTACKS)
    for name in ATTACKS:
        kind = resolve("attack", name, ATTACKS)
        assert kind.name == name
        assert kind.inputs == ("images" if name in IMAGE_ATTACKS else "points")
    assert resolve("attack", "pointbim", ATTACKS) is PointBIM


@pytest.mark.parametrize(("dtype", "far"), [(torch.float32, 60.0), (torch.float64, 0.0)])
@pytest.mark.parametrize("attack", QUICK)
def test_no_point_leaves_its_cube(attack: str, dtype: torch.dtype, far: float) -> None:
    """Also 60 m away, where float32 knows no less than 4 micrometres."""
    data = batch(SCENES, (60, 50))
    clean = (data.cloud.points + far).to(dtype)
    data = data._replace(cloud=data.cloud._replace(points=clean, features=data.cloud.features.to(dtype)))
    network = victim(SCENES) if dtype == torch.float64 else victim_float32()
    points = perturbed(QUICK[attack](0.0093), network, data, LGM(8.0))
    assert points.dtype == dtype
    assert points.shape == clean.shape
    moved = (points.double() - clean.double()).abs()
    assert moved.max() <= 0.0093 + 1e-15 * (1 + far)
    assert moved.max() > 0.009, "the cube is used"


def victim_float32():
    from victims import load_victim

    return load_victim(SCENES, "random")


def test_the_cube_is_rounded_inwards() -> None:
    clean = torch.tensor([[51.3, -49.77, 0.1]])
    cube = Cubes(0.0077).around(clean)
    for side in (cube.lower, cube.upper):
        distance = (side.double() - clean.double()).abs()
        assert (distance <= 0.0077).all()
        assert (distance > 0.0077 - 2 * 4e-6).all()


@pytest.mark.parametrize("attack", QUICK)
def test_no_budget_no_move(attack: str) -> None:
    data = batch(SCENES, (60,))
    points = perturbed(QUICK[attack](0.0, step=0.0), victim(SCENES), data, LGM(8.0))
    assert torch.equal(points, data.cloud.points)


@pytest.mark.parametrize(
    ("attack", "gradient"),
    [
        ("random", FGM()),
        ("pointbim", FGM(VoxelSlopes(input=8.0, output=8.0))),
        *((name, LGM(8.0)) for name in QUICK),
    ],
)
def test_a_scene_does_not_feel_its_batch(attack: str, gradient) -> None:
    data = batch(SCENES, (50, 40, 30))
    make = QUICK[attack](0.02, seed=3)
    together = attacked(make, victim(SCENES), data, gradient)
    for numbers in ([1], [2, 0]):
        alone = attacked(make, victim(SCENES), only(data, numbers), gradient)
        expected = torch.cat([together.adversarial[data.cloud.scene == number] for number in numbers])
        assert torch.equal(alone.adversarial, expected), "to the bit: scenes go through the network one by one"
        assert torch.equal(alone.scores, together.scores[:, numbers])
        assert torch.equal(alone.kept, together.kept[numbers])


@pytest.mark.parametrize("attack", QUICK)
def test_a_shape_does_not_feel_its_batch(attack: str) -> None:
    data = batch(SHAPES, (70, 50, 60))
    make = QUICK[attack](0.05, seed=3)
    together = attacked(make, victim(SHAPES), data, LGM(8.0))
    for numbers in ([1], [2, 0]):
        alone = attacked(make, victim(SHAPES), only(data, numbers), LGM(8.0))
        expected = torch.cat([together.adversarial[data.cloud.scene == number] for number in numbers])
        # sums over several shapes round differently
        assert torch.allclose(alone.adversarial, expected, rtol=0, atol=1e-9)
        assert torch.allclose(alone.scores, together.scores[:, numbers], rtol=0, atol=1e-9)
        assert set(alone.costs) == ({"voxels", "gflops"} if make.takes_gradient else set())
        for name, costs in alone.costs.items():
            assert torch.allclose(costs, together.costs[name][:, numbers], rtol=1e-12, atol=0)


@pytest.mark.parametrize("attack", QUICK)
def test_the_same_call_gives_the_same_points(attack: str) -> None:
    data = batch(SCENES, (60, 40))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = perturbed(QUICK[attack](0.02, seed=1), victim(SCENES), data, LGM(8.0))
    assert torch.equal(torch.get_rng_state(), before), "the global generator is left alone"
    torch.manual_seed(99)
    assert torch.equal(perturbed(QUICK[attack](0.02, seed=1), victim(SCENES), data, LGM(8.0)), first)


def test_random_moves_are_drawn_by_seed_and_id() -> None:
    data = batch(SCENES, (50,))
    twice = only(data, [0, 0])
    attack = RandomPerturbation(0.01)
    first, second = perturbed(attack, victim(SCENES), PointBatch(*twice[:2], ["a", "a"])).split(50)
    assert torch.equal(first, second)
    assert not torch.equal(*perturbed(attack, victim(SCENES), PointBatch(*twice[:2], ["a", "b"])).split(50))
    named = data._replace(ids=["a"])
    assert torch.equal(perturbed(attack, victim(SCENES), named), first)
    assert not torch.equal(perturbed(RandomPerturbation(0.01, seed=1), victim(SCENES), named), first)


def test_random_moves_are_uniform_and_no_clean_cloud() -> None:
    data = batch(SHAPES, (3000, 2000))
    result = attacked(RandomPerturbation(0.1), victim(SHAPES), data)
    noise = (result.adversarial - data.cloud.points) / 0.1
    assert noise.abs().max() <= 1
    assert noise.mean(dim=0).abs().max() < 0.03
    assert noise.square().mean(dim=0).sub(1 / 3).abs().max() < 0.01
    assert (result.scores.shape, result.kept.tolist()) == ((1, 2), [0, 0])


def test_the_best_of_several_draws() -> None:
    data = batch(SCENES, (60, 50))
    single = attacked(RandomPerturbation(0.01), victim(SCENES), data)
    several = attacked(RandomPerturbation(0.01, steps=6), victim(SCENES), data)
    assert several.scores.shape == (6, 2)
    assert torch.equal(several.scores[0], single.scores[0])
    assert torch.equal(several.kept, several.scores.argmin(dim=0))
    assert len(set(several.scores[:, 0].tolist())) > 1


@pytest.mark.parametrize("name", VICTIMS)
def test_the_victim_is_left_as_it_was(name: str) -> None:
    network = victim(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    try:
        perturbed(PointBIM(0.02, 0.01, 2), network, batch(name, (60,)), LGM(8.0))
        assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    finally:
        network.requires_grad_(False)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert repr(network.voxelization.gradient) == "FGM()"
    assert network.voxelization.reach is None


def test_ignored_classes_and_labels_take_no_part() -> None:
    data = batch(SCENES, (80,))
    result = attacked(PointBIM(0.02, 0.01, 2), victim(SCENES), data, LGM(8.0))
    most = int(torch.bincount(data.labels[data.labels != 255]).argmax())
    other = attacked(PointBIM(0.02, 0.01, 2), victim(SCENES), data, LGM(8.0), adapter=Scenes(ignored_classes=(most,)))
    assert not torch.equal(result.scores[1:], other.scores[1:])
    assert other.scores[0].tolist() == [1.0]
