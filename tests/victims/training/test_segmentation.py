"""The objective of networks that label points: what is ignored, what is added up, what is logged."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.losses import lovasz_softmax
from lgm_bench.voxels import IGNORED, PointCloud
from victims.training.objectives import SegmentationObjective
from victims.training.recipe import Recipe

RECIPE = Recipe(objective="segmentation", epochs=1, learning_rate=0.1, label_smoothing=0.0, lovasz_weight=2.0)


class Linear(nn.Module):
    """Labels points by a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.arange(12.0).view(3, 4).sin())

    def scored(self, cloud: PointCloud, labels: Tensor) -> tuple[Tensor, Tensor]:
        return cloud.points @ self.matrix, labels


@pytest.fixture
def cloud() -> PointCloud:
    points = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    return PointCloud(points, torch.empty(7, 0), torch.zeros(7, dtype=torch.int64))


LABELS = torch.tensor([0, 1, IGNORED, 3, 3, IGNORED, 0])


def test_the_two_losses_are_added_up(cloud: PointCloud) -> None:
    victim, kept = Linear(), LABELS != IGNORED
    loss, logs = SegmentationObjective(RECIPE).loss(victim, cloud, LABELS, 0.0)
    logits = (cloud.points @ victim.matrix)[kept]
    cross_entropy = F.cross_entropy(logits, LABELS[kept])
    lovasz = lovasz_softmax(logits.softmax(1), LABELS[kept])
    torch.testing.assert_close(loss, cross_entropy + 2 * lovasz)
    torch.testing.assert_close(logs, {"cross_entropy": cross_entropy.detach(), "lovasz": lovasz.detach()})


def test_ignored_points_do_not_count(cloud: PointCloud) -> None:
    victim, objective = Linear(), SegmentationObjective(RECIPE)
    loss, _ = objective.loss(victim, cloud, LABELS, 0.0)
    moved = cloud.points.clone()
    moved[LABELS == IGNORED] += 5
    assert torch.equal(loss, objective.loss(victim, cloud.moved(moved), LABELS, 0.0)[0])
    assert not torch.equal(loss, objective.loss(victim, cloud.moved(moved.roll(1, 0)), LABELS, 0.0)[0])


def test_a_batch_without_labels_is_no_nan(cloud: PointCloud) -> None:
    victim = Linear()
    loss, _ = SegmentationObjective(RECIPE).loss(victim, cloud, torch.full((7,), IGNORED), 0.0)
    loss.backward()
    assert loss.item() == 0
    assert (victim.matrix.grad == 0).all()


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_step_against_the_gradient_lowers_the_loss(cloud: PointCloud, weight: float) -> None:
    victim, objective = Linear(), SegmentationObjective(RECIPE.model_copy(update={"lovasz_weight": weight}))
    loss, _ = objective.loss(victim, cloud, LABELS, 0.0)
    loss.backward()
    with torch.no_grad():
        victim.matrix -= 0.01 * victim.matrix.grad
    assert objective.loss(victim, cloud, LABELS, 0.0)[0] < loss
