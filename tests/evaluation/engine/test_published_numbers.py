"""Numbers of real networks on real images: against a plain loop, and against what was measured for their weights."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hand_made import flat_cell

from datamodules.cifar10 import CIFAR10DataModule
from lgm_bench import FGM, LGM, architecture
from lgm_bench.evaluation.engine.runner import run_cells
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.leaded import GradientMethod
from victims import load_victim

N, EPS = 100, 2.0


def measured(samples: Path, out: Path, victim: str, file: str, **options) -> CellResult:
    cell = flat_cell(victim, "cifar10", "fgsm", eps=EPS, limit=N, checkpoint=str(samples / "weights" / file), **options)
    results = run_cells([cell], out, data_root=samples / "data" / "cifar10", batch_size=100, accelerator="cpu")
    assert results.failures == []
    return results[0]


def plain_loop(samples: Path, victim: str, file: str, gradient: GradientMethod) -> tuple[float, float, float]:
    """Clean accuracy, accuracy left and architecture change, without any of the stage's code or its faster network."""
    network = load_victim(victim, samples / "weights" / file)
    data = CIFAR10DataModule(samples / "data" / "cifar10", batch_size=50, limit=N)
    data.setup("test")
    right = left = changed = positions = 0
    for images, labels, _ in data.test_dataloader():
        x = images.contiguous().requires_grad_()
        with gradient.applied_to(network):
            (slope,) = torch.autograd.grad(F.cross_entropy(network(x), labels), x)
        with torch.no_grad():
            adversarial = (images + 2 * EPS / 255 * slope.sign()).clamp(-1, 1)
            correct = network(images).argmax(1) == labels
            right += int(correct.sum())
            left += int((correct & (network(adversarial).argmax(1) == labels)).sum())
            for before, after in zip(architecture(network, images), architecture(network, adversarial), strict=True):
                changed, positions = changed + int((before != after).sum()), positions + before.numel()
    return right / N, left / N, changed / max(positions, 1)


@pytest.mark.parametrize(
    ("gradient", "options"),
    [(FGM(), {"gradient": "fgm"}), (LGM(1.0), {"gradient": "lgm", "slope": 1.0})],
    ids=["fgm", "lgm"],
)
def test_dynconv_agrees_with_a_plain_loop(samples: Path, tmp_path: Path, gradient, options) -> None:
    names = "dynconv8-cifar10", "dynconv8-cifar10.pth"
    result = measured(samples, tmp_path, *names, **options)
    clean, left, change = plain_loop(samples, *names, gradient)
    assert result.clean == clean
    assert result.left == pytest.approx(left, abs=1.01 / N)  # one image may lie on the edge of a rounding error
    assert result.metrics["architecture_change"] == pytest.approx(change, abs=1e-4)
    assert result.folded
    assert result.checks.within_bounds


def test_resnet_agrees_with_a_plain_loop(samples: Path, tmp_path: Path) -> None:
    """Its gradients are smaller than float32's rounding where it is sure, so that a few images may differ."""
    names = "resnet32-cifar10", "resnet32-d509ac18.th"
    result = measured(samples, tmp_path, *names, gradient="fgm")
    clean, left, _ = plain_loop(samples, *names, FGM())
    assert result.clean == clean
    assert 0.9 < clean < 0.96
    assert result.left == pytest.approx(left, abs=2.01 / N)
    assert 0.15 < result.left < 0.28  # 0.2144 of all 10,000 images
    assert result.units is None
