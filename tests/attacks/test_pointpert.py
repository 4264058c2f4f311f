"""PointPert and KNNPert against torch's Adam and distances written out."""

import numpy as np
import pytest
import torch
from point_cases import attacked, batch, victim
from scipy.spatial.distance import cdist
from torch import Tensor

from lgm_bench.attacks import KNNPert, PointPert
from lgm_bench.attacks.point_attacks import chamfer_distance, outlier_distance, shift_norm
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import LGM
from lgm_bench.voxels import IGNORED, Reach

SCENES, SHAPES = "minkunet14-scannet", "minknet-small-modelnet40"


def cloud(n: int = 60, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def numpy_outliers(points: np.ndarray, k: int, alpha: float) -> float:
    squared = cdist(points, points, "sqeuclidean")
    np.fill_diagonal(squared, np.inf)
    distance = np.sort(squared, axis=1)[:, :k].mean(axis=1)
    return distance[distance >= distance.mean() + alpha * distance.std()].sum()


def test_distances() -> None:
    clean, points = cloud(), cloud(seed=1)
    assert shift_norm(points, clean).item() == pytest.approx(np.linalg.norm((points - clean).numpy()))
    expected = cdist(points.numpy(), clean.numpy(), "sqeuclidean").min(axis=1).sum()
    assert chamfer_distance(points, clean).item() == pytest.approx(expected)
    for k, alpha in ((1, 0.0), (5, 1.05), (5, 2.0)):
        assert outlier_distance(points, k, alpha).item() == pytest.approx(numpy_outliers(points.numpy(), k, alpha))
    for seed in range(20):  # of few points, in which the way of estimating the deviation shows
        few = cloud(5, seed)
        assert outlier_distance(few, 2, 1.05).item() == pytest.approx(numpy_outliers(few.numpy(), 2, 1.05))


def test_their_gradients() -> None:
    clean, points = cloud(30), cloud(30, seed=1).requires_grad_()
    for distance in (shift_norm, chamfer_distance):
        assert torch.autograd.gradcheck(lambda x, d=distance: d(x, clean), points)
    assert torch.autograd.gradcheck(lambda x: outlier_distance(x, 5, 1.05), points)


def test_where_nothing_has_moved_there_is_no_gradient_and_no_nan() -> None:
    for distance in (shift_norm, chamfer_distance):
        points = cloud().requires_grad_()
        (gradient,) = torch.autograd.grad(distance(points, cloud()), points)
        assert (gradient == 0).all()


@pytest.mark.parametrize("n", [1, 2, 4])
def test_fewer_points_than_neighbours(n: int) -> None:
    points = cloud(n).requires_grad_()
    value = outlier_distance(points, 5, 1.05)
    (gradient,) = torch.autograd.grad(value, points)
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert (n == 4) or (value > 0) == (n == 2)


def test_points_in_one_place() -> None:
    points = torch.zeros(8, 3, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(outlier_distance(points, 5, 1.05), points)
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", [SCENES, SHAPES])
@pytest.mark.parametrize("kind", [PointPert, KNNPert])
def test_against_torch_adam(kind: type[PointPert], name: str) -> None:
    data, gradient, eps = batch(name, (70,)), LGM(8.0), 0.03
    result = attacked(kind(eps, 0.01, 4, runs=1), victim(name), data, gradient)
    clean = data.cloud.points
    x = clean.clone().requires_grad_()
    optimizer, iterates = torch.optim.Adam([x], lr=0.01), [clean]
    for _ in range(4):
        with gradient.applied_to(victim(name), Reach(clean, 0.01, eps)):
            logits = victim(name)(data.cloud.moved(x))
        loss = margins(logits, data.labels, 0.0 if kind is PointPert else 15.0) + price(kind, x, clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            x.copy_(torch.clamp(x, clean - eps, clean + eps))
        iterates.append(x.detach().clone())
    assert torch.allclose(result.adversarial, iterates[int(result.kept[0])], rtol=0, atol=1e-8)
    assert len(result.scores) == 5


def margins(logits: Tensor, labels: Tensor, kappa: float) -> Tensor:
    total = logits.new_zeros(())
    for row, label in zip(logits, labels.tolist(), strict=True):
        if label != IGNORED:
            others = torch.cat([row[:label], row[label + 1 :]])
            total = total + torch.clamp(row[label] - others.max(), min=-kappa)
    return total


def price(kind: type[PointPert], x: Tensor, clean: Tensor) -> Tensor:
    if kind is PointPert:
        return 10 * ((x - clean).square().sum() + 1e-300).sqrt()
    return 3 * chamfer_distance(x, clean) + 5 * outlier_distance(x, 5, 1.05)


def test_the_price_holds_points_back() -> None:
    data = batch(SHAPES, (80, 70))
    cheap, dear = (
        attacked(PointPert(0.1, 0.01, 7, weight=weight, runs=1), victim(SHAPES), data, LGM(8.0))
        for weight in (0.0, 1e4)
    )
    assert cheap.scores.min() < dear.scores.min()
    moved = [(result.adversarial - data.cloud.points).norm() for result in (cheap, dear)]
    assert moved[0] > moved[1]


def test_clouds_that_have_not_fallen_pay_a_tenth_in_the_next_run() -> None:
    data = batch(SCENES, (70,))
    together = attacked(PointPert(0.1, 0.01, 11, runs=3), victim(SCENES), data, LGM(8.0)).scores
    alone = [
        attacked(PointPert(0.1, 0.01, 3, runs=1, weight=weight), victim(SCENES), data, LGM(8.0)).scores
        for weight in (10.0, 1.0, 0.1)
    ]
    assert torch.equal(together, torch.cat(alone))


def test_shapes_that_have_fallen_pay_the_same_again() -> None:
    data = batch(SHAPES, (90, 70))
    together = attacked(PointPert(0.2, 0.05, 7, runs=2), victim(SHAPES), data, LGM(8.0))
    alone = [
        attacked(PointPert(0.2, 0.05, 3, runs=1, weight=weight), victim(SHAPES), data, LGM(8.0)).scores
        for weight in (10.0, 1.0)
    ]
    fallen = together.fallen[:4].any(dim=0)
    assert fallen.any()
    assert not fallen.all()
    expected = torch.where(fallen, alone[0], alone[1])
    assert torch.allclose(together.scores, torch.cat([alone[0], expected]), rtol=0, atol=1e-9)
    assert not torch.allclose(alone[0][:, fallen], alone[1][:, fallen])


def test_parameters_of_the_publications() -> None:
    xiang, tsai = PointPert(0.1), KNNPert(0.1)
    assert (xiang.step, xiang.steps, xiang.weight, xiang.kappa) == (0.01, 500, 10, 0)
    assert (tsai.step, tsai.steps, tsai.weight, tsai.kappa) == (0.001, 2500, 3, 15)
    assert (tsai.knn_weight, tsai.k, tsai.alpha) == (5, 5, 1.05)


def test_a_run_must_be_one() -> None:
    with pytest.raises(ConfigError, match="runs must be a whole number of at least 1, got 0"):
        PointPert(0.1, runs=0)
