"""Point-BIM against a loop written out, what it keeps, and what moves under which gradient."""

import pytest
import torch
import torch.nn.functional as F
from point_cases import VICTIMS, attacked, batch, victim
from torch import Tensor

from lgm_bench.attacks import PointBIM, RandomPerturbation
from lgm_bench.leaded import FGM, LGM, GradientMethod, StraightThrough
from lgm_bench.losses import lovasz_softmax
from lgm_bench.metrics.architecture_change import voxel_counts
from lgm_bench.metrics.confusion import confusion_matrix, mean_iou_of
from lgm_bench.sparse.cost import counted_cost
from lgm_bench.voxels import IGNORED, PointCloud, Reach, VoxelSlopes

METHODS = [FGM(VoxelSlopes(input=8.0, output=8.0)), LGM(8.0), StraightThrough(8.0)]


def by_hand(
    name: str, cloud: PointCloud, labels: Tensor, gradient: GradientMethod, moves: int, loss: str = "cross_entropy"
) -> list[Tensor]:
    """The iterates of a single scene: step 0.01, eps 0.02."""
    clean, x = cloud.points, cloud.points
    iterates = [clean]
    for _ in range(moves):
        x = x.detach().requires_grad_()
        with gradient.applied_to(victim(name), Reach(clean, 0.01, 0.02)):
            logits, truth = victim(name).scored(cloud.moved(x), labels)
        logits, truth = logits[truth != IGNORED], truth[truth != IGNORED]
        value = F.cross_entropy(logits, truth) if loss == "cross_entropy" else lovasz_softmax(logits.softmax(1), truth)
        (g,) = torch.autograd.grad(value, x)
        largest = g.abs().max(dim=1, keepdim=True).values
        step = torch.where(largest == 0, torch.zeros_like(g), g / largest)
        x = torch.clamp(x.detach() + 0.01 * step, clean - 0.02, clean + 0.02)
        iterates.append(x)
    return iterates


def scene_scores(name: str, cloud: PointCloud, labels: Tensor, iterates: list[Tensor]) -> Tensor:
    scores = []
    for x in iterates:
        logits = victim(name)(cloud.moved(x))
        if victim(name).task == "segmentation":
            scores.append(mean_iou_of(confusion_matrix(labels, logits.argmax(1), logits.shape[1])))
        else:
            others = logits[0].clone()
            others[labels[0]] = -torch.inf
            scores.append(logits[0, labels[0]] - others.max())
    return torch.stack(scores)


@pytest.mark.parametrize(
    ("name", "gradient"),
    [*((name, METHODS[1]) for name in VICTIMS), ("minkunet14-scannet", METHODS[0]), ("cylinder3d-tiny", METHODS[2])],
)
def test_against_a_loop(name: str, gradient: GradientMethod) -> None:
    data = batch(name, (120,))
    result = attacked(PointBIM(0.02, 0.01, 3), victim(name), data, gradient)
    iterates = by_hand(name, data.cloud, data.labels, gradient, moves=3)
    expected = scene_scores(name, data.cloud, data.labels, iterates)
    assert torch.allclose(result.scores[:, 0], expected, rtol=0, atol=1e-9)
    assert torch.allclose(result.adversarial, iterates[int(result.kept[0])], rtol=0, atol=1e-9)
    assert int(result.kept[0]) == int(expected.argmin())


def test_against_a_loop_with_lovasz() -> None:
    name, gradient = "cylinder3d-tiny", LGM(30.0, voxels=VoxelSlopes(input=10.0))
    data = batch(name, (120,))
    result = attacked(PointBIM(0.02, 0.01, 3, loss="lovasz"), victim(name), data, gradient)
    iterates = by_hand(name, data.cloud, data.labels, gradient, moves=3, loss="lovasz")
    assert torch.allclose(result.adversarial, iterates[int(result.kept[0])], rtol=0, atol=1e-9)
    other = attacked(PointBIM(0.02, 0.01, 3), victim(name), data, gradient)
    assert not torch.allclose(result.adversarial, other.adversarial)


def test_steps_are_moves_and_the_clean_cloud_is_judged_too() -> None:
    data = batch("minkunet14-scannet", (80,))
    fewer, more = (
        attacked(PointBIM(0.02, 0.01, steps), victim("minkunet14-scannet"), data, LGM(8.0)) for steps in (2, 3)
    )
    assert (len(fewer.scores), len(fewer.costs["voxels"])) == (3, 2)
    assert (len(more.scores), len(more.costs["voxels"])) == (4, 3)
    assert torch.equal(more.scores[:3], fewer.scores)


def test_no_step_is_the_clean_cloud() -> None:
    data = batch("minkunet14-scannet", (80,))
    result = attacked(PointBIM(0.02, 0.01, 0), victim("minkunet14-scannet"), data, LGM(8.0))
    assert torch.equal(result.adversarial, data.cloud.points)
    assert result.scores.tolist() == [[1.0]]
    assert result.costs == {}


@pytest.mark.parametrize("name", VICTIMS)
def test_the_lowest_score_is_kept_and_is_that_of_the_points(name: str) -> None:
    data = batch(name)
    seen: list[tuple[int, int]] = []
    result = attacked(PointBIM(0.02, 0.01, 3), victim(name), data, LGM(8.0), lambda *call: seen.append(call))
    assert seen == [(i, 3) for i in range(1, 4)]
    hard = victim(name)(data.cloud.moved(result.adversarial))
    for number in range(2):
        rows = data.cloud.scene == number
        of_points = len(data.labels) == len(rows)
        labels = data.labels[rows] if of_points else data.labels[[number]]
        logits = hard[rows] if of_points else hard[[number]]
        if of_points:
            score = mean_iou_of(confusion_matrix(labels, logits.argmax(1), logits.shape[1]))
            assert result.scores[:, number].min() == score
        else:
            others = logits[0].clone()
            others[labels[0]] = -torch.inf
            score = logits[0, labels[0]] - others.max()
            assert result.scores[:, number].min() == pytest.approx(score.item(), abs=1e-12)
        assert result.scores[int(result.kept[number]), number] == result.scores[:, number].min()


def test_colours_alone_know_nothing_of_places() -> None:
    """Without slopes the hard network's gradient is nothing but zeros, and nothing moves; the leaded one's is not."""
    name = "minkunet14-scannet"
    data = batch(name)
    result = attacked(PointBIM(0.02, 0.01, 3), victim(name), data, FGM())
    assert torch.equal(result.adversarial, data.cloud.points)
    assert result.kept.tolist() == [0, 0]
    leaded = attacked(PointBIM(0.02, 0.01, 3), victim(name), data, LGM(8.0))
    assert (leaded.adversarial != data.cloud.points).any(dim=1).double().mean() > 0.99
    units = victim(name).voxelization
    counts = voxel_counts(units.occupied(data.cloud), units.occupied(data.cloud.moved(leaded.adversarial)), 2)
    assert (counts.off_to_on + counts.on_to_off > 0.05 * counts.positions).all()


@pytest.mark.parametrize("gradient", METHODS[:2])
@pytest.mark.parametrize("name", VICTIMS)
def test_operations_of_every_iteration(name: str, gradient: GradientMethod) -> None:
    data = batch(name, (60, 50))
    result = attacked(PointBIM(0.02, 0.01, 1), victim(name), data, gradient)
    assert result.costs["gflops"].shape == (1, 2)
    reach = Reach(data.cloud.points, 0.01, 0.02)
    with gradient.applied_to(victim(name), reach), counted_cost() as cost, torch.no_grad():
        victim(name).scored(data.cloud, data.labels)
        voxels = victim(name).voxelization(data.cloud)
    assert result.costs["gflops"].sum().item() == pytest.approx(cost.gflops, rel=1e-12)
    assert (result.costs["gflops"] > 0).all()
    assert result.costs["voxels"].sum().item() == len(voxels)


def test_voxels_of_every_iteration() -> None:
    name = "minkunet14-scannet"
    data = batch(name)
    units = victim(name).voxelization
    clean = torch.bincount(units.occupied(data.cloud)[:, 0])
    plain = attacked(PointBIM(0.02, 0.01, 2), victim(name), data, METHODS[0])
    leaded = attacked(PointBIM(0.02, 0.01, 2), victim(name), data, LGM(8.0))
    assert torch.equal(plain.costs["voxels"][0], clean)
    assert (leaded.costs["voxels"][0] > clean).all(), "voxels that can be reached take part"
    assert len(units._forward_hooks) == 0


def test_a_misclassified_shape_beats_all_that_are_not() -> None:
    name = "minknet-small-modelnet40"
    data = batch(name, (90, 70, 60, 80))
    result = attacked(PointBIM(0.2, 0.05, 7), victim(name), data, LGM(8.0))
    fallen = result.scores.min(dim=0).values < 0
    predicted = victim(name)(data.cloud.moved(result.adversarial)).argmax(1)
    assert torch.equal(predicted != data.labels, fallen)
    assert fallen.any()


def test_the_leaded_attack_beats_random_moves() -> None:
    """On a network that is sure of what it sees: labels are its own predictions."""
    name = "minkunet14-scannet"
    data = batch(name, (200, 200))
    random = attacked(RandomPerturbation(0.005, steps=8), victim(name), data)
    leaded = attacked(PointBIM(0.005, 0.0025, 7), victim(name), data, LGM(8.0))
    assert (leaded.scores.min(dim=0).values < random.scores.min(dim=0).values).all()
