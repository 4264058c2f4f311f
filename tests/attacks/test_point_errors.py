"""What attacks on points refuse, and that it says the value and the remedy."""

from typing import Any

import pytest
import torch
from point_cases import attacked, batch, perturbed, victim
from torch import nn

from datamodules.batch import PointBatch
from lgm_bench.attacks import KNNPert, PointBIM, PointPert, RandomPerturbation
from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.leaded import LGM
from lgm_bench.tasks.clouds import Scenes
from victims import load_victim

NAN, INFINITE = float("nan"), float("inf")
SCENES, SHAPES = "minkunet14-scannet", "minknet-small-modelnet40"


@pytest.mark.parametrize("kind", [RandomPerturbation, PointBIM, PointPert, KNNPert])
@pytest.mark.parametrize("eps", [-0.01, NAN, INFINITE])
def test_eps(kind: type, eps: float) -> None:
    with pytest.raises(ConfigError, match=rf"eps must be a number of at least 0 \(in metres\), got {eps}"):
        kind(eps)


@pytest.mark.parametrize("step", [-0.5, 0, NAN, INFINITE])
def test_step(step: float) -> None:
    with pytest.raises(ConfigError, match=rf"step must be a positive number \(in metres\), got {step}"):
        PointBIM(0.02, step)


def test_other_numbers() -> None:
    with pytest.raises(ConfigError, match="steps must be a whole number of at least 0, got -1"):
        PointBIM(0.02, steps=-1)
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        PointBIM(0.02, seed=-1)
    with pytest.raises(ConfigError, match="weight must be a number of at least 0, got -1"):
        PointPert(0.02, weight=-1)
    with pytest.raises(ConfigError, match="kappa must be a number of at least 0, got nan"):
        KNNPert(0.02, kappa=NAN)
    with pytest.raises(ConfigError, match="k must be a whole number of at least 1, got 0"):
        KNNPert(0.02, k=0)


def test_names() -> None:
    with pytest.raises(UnknownNameError, match="unknown loss of pointbim 'lovas'; did you mean lovasz"):
        PointBIM(0.02, loss="lovas")
    with pytest.raises(UnknownNameError, match="unknown loss of knnpert 'lovasz'; known: margin"):
        KNNPert(0.02, loss="lovasz")


def test_defaults_follow_the_budget() -> None:
    assert (PointBIM(0.005).step, PointBIM(0.05).step, PointBIM(0.05).steps, PointBIM(0.0).step) == (0.005, 0.01, 50, 0)
    assert PointBIM(0.05).loss == "cross_entropy"


def test_victims() -> None:
    network = nn.Linear(3, 2).eval()
    with pytest.raises(ConfigError, match="PointBIM attacks points, but Linear takes images"):
        perturbed(PointBIM(0.02), network, batch(SCENES, (20,)))
    training = victim(SCENES, seed=1).train()
    with pytest.raises(ConfigError, match=r"SceneVictim is in training mode.*call victim\.eval\(\)"):
        perturbed(PointBIM(0.02), training, batch(SCENES, (20,)))
    with torch.inference_mode(), pytest.raises(ConfigError, match="inference_mode=False"):
        perturbed(PointBIM(0.02), victim(SCENES), batch(SCENES, (20,)))
    with pytest.raises(ConfigError, match=r"inputs are torch\.float64 and the victim's weights are torch\.float32"):
        perturbed(PointBIM(0.02), load_victim(SCENES, "random"), batch(SCENES, (20,)))
    with pytest.raises(ConfigError, match="the inputs must be a PointCloud, got Tensor"):
        PointBIM(0.02).perturb(victim(SCENES), torch.zeros(20, 3), torch.zeros(20, dtype=torch.int64))
    with pytest.raises(ConfigError, match="where no class can be the target"):
        attacked(PointBIM(0.02), victim(SCENES), batch(SCENES, (20,)), target=torch.zeros(1, dtype=torch.int64))
    with pytest.raises(
        ConfigError, match="loss 'lovasz' is for segmentation, but the task of ShapeVictim is classification"
    ):
        perturbed(PointBIM(0.02, loss="lovasz"), victim(SHAPES), batch(SHAPES, (20,)))


def broken(**changes: Any) -> PointBatch:
    data = batch(SCENES, (12, 8))
    of_cloud = {name: changes.pop(name) for name in ("points", "features", "scene") if name in changes}
    return data._replace(cloud=data.cloud._replace(**of_cloud), **changes)


def with_value(tensor: torch.Tensor, row: int, value: float) -> torch.Tensor:
    changed = tensor.clone()
    changed[row] = value
    return changed


GOOD = batch(SCENES, (12, 8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": GOOD.cloud.points[:, :2]}, r"points must be floating point of shape \(N, 3\)"),
        ({"points": GOOD.cloud.points[:0]}, r"points must be floating point of shape \(N, 3\), got .* \(0, 3\)"),
        ({"points": GOOD.cloud.points.long()}, r"got torch\.int64"),
        ({"features": GOOD.cloud.features[1:]}, r"features must be floating point of shape \(20, F\)"),
        ({"scene": GOOD.cloud.scene.float()}, r"scene must be int64 of shape \(20,\)"),
        ({"scene": GOOD.cloud.scene + 1}, "scene must number the scenes from 0"),
        ({"scene": GOOD.cloud.scene.flip(0)}, "scene must number the scenes from 0"),
        ({"scene": GOOD.cloud.scene * 2}, "without gaps"),
        (
            {"points": with_value(GOOD.cloud.points, 13, NAN)},
            r"points must be finite, .* row 13 \(scene 'scene-1'\)",
        ),
        ({"features": with_value(GOOD.cloud.features, 2, INFINITE)}, r"features must be finite, .*'scene-0'"),
        ({"labels": GOOD.labels[:2]}, r"labels must be whole numbers of shape \(20,\), one for each point"),
        (
            {"labels": GOOD.labels.double()},
            r"labels must be whole numbers of shape \(20,\), one for each point, got torch\.float64",
        ),
        ({"labels": with_value(GOOD.labels, 3, -1)}, "labels must be at least 0, got -1"),
        (
            {"labels": with_value(GOOD.labels, 3, 20)},
            r"class 20 is out of range: .* 20 classes \(0 to 19\)",
        ),
        ({"labels": torch.full((20,), 255)}, "every label of 'scene-0' is ignored"),
        ({"ids": ["a"]}, "2 scenes have 1 ids"),
    ],
)
def test_batches(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        perturbed(PointBIM(0.02, steps=2), victim(SCENES), broken(**changes))


def test_labels_of_shapes() -> None:
    data = batch(SHAPES, (20, 20))
    with pytest.raises(ConfigError, match=r"labels must be whole numbers of shape \(2,\), one for each shape"):
        perturbed(PointBIM(0.02), victim(SHAPES), data._replace(labels=torch.zeros(40, dtype=torch.int64)))
    with pytest.raises(ConfigError, match="class 40 is out of range"):
        perturbed(PointBIM(0.02), victim(SHAPES), data._replace(labels=torch.tensor([0, 40])))


def test_all_labels_of_ignored_classes() -> None:
    data = batch(SCENES, (12,))
    zeros = data._replace(labels=torch.zeros(12, dtype=torch.int64))
    with pytest.raises(ConfigError, match=r"every label of 'scene-0' is ignored: .* leave it out"):
        attacked(PointBIM(0.02), victim(SCENES), zeros, adapter=Scenes(ignored_classes=(0,)))


def test_a_gradient_that_is_not_finite() -> None:
    data = batch(SCENES, (30, 30))
    network = victim(SCENES)
    handle = network.voxelization.register_forward_hook(poison)
    try:
        with pytest.raises(ConfigError, match=r"gradient of 2 samples is not finite \(first: 'scene-0'\) under LGM"):
            perturbed(PointBIM(0.02, steps=2), network, data, LGM(8.0))
    finally:
        handle.remove()


def poison(_module: nn.Module, _arguments: Any, voxels: Any) -> None:
    if voxels.gradient.softens:
        voxels.cloud.points.register_hook(lambda gradient: gradient * NAN)
