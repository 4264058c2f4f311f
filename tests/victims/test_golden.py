"""The adaptive networks against values that an independent implementation computed, through the official layout."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench import FGM, LGM, StraightThrough
from lgm_bench.leaded import GradientMethod, recorded_calls
from victims import import_checkpoint, load_victim
from victims.folding import folded

NETWORKS = {
    "skipnet38": ("skipnet38-cifar10", 32),
    "dynconv8": ("dynconv8-cifar10", 32),
    "skipnet18_imagenet": ("skipnet18-imagenet", 224),
    "dynconv50_imagenet": ("dynconv50-imagenet", 224),
}


@dataclass
class Golden:
    """A network with the golden weights, its inputs, and the values to reach."""

    victim: nn.Module
    images: Tensor
    values: dict[str, np.ndarray]

    def methods(self) -> dict[str, GradientMethod]:
        slope = float(self.values["lam"])
        return {"fgm": FGM(), "lgm_gg": LGM(slope), "lgm_fg": StraightThrough(slope)}

    def check(self, victim: nn.Module, key: str) -> None:
        """Compare logits (1e-8), decisions (exactly), loss (1e-8) and the image gradient (1e-6) under one method."""
        x = self.images.clone().requires_grad_()
        with self.methods()[key].applied_to(victim), recorded_calls(victim) as calls:
            logits = victim(x)
            loss = F.cross_entropy(logits, torch.tensor(self.values["y"]), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        stored = self.values[f"{key}_grad"]
        step = x.shape[-1] // stored.shape[-1]  # 7 for images of 224 pixels
        assert difference(logits, self.values["lgm_gg_logits" if key == "lgm_gg" else "logits"]) < 1e-8
        assert loss.item() == pytest.approx(float(self.values[f"{key}_loss"]), rel=1e-8)
        assert difference(gradient[:, :, ::step, ::step], stored) < 1e-6
        if key != "lgm_gg":  # soft occupancies of earlier units change the scores of later ones
            self.check_decisions([call.unit.hard(call.score) for call in calls])

    def check_decisions(self, decisions: list[Tensor]) -> None:
        if "masks" in self.values:  # SkipNet: (skippable blocks, B)
            assert np.array_equal(torch.stack(decisions).numpy(), self.values["masks"])
        else:  # DynConv: the sum of each mask over positions and images
            assert [list(decision.shape) for decision in decisions] == self.values["mask_shapes"].tolist()
            assert [decision.sum().item() for decision in decisions] == self.values["mask_sums"].tolist()


def difference(ours: Tensor, golden: np.ndarray) -> float:
    return float(np.abs(ours.detach().numpy() - golden).max() / np.abs(golden).max())


@pytest.fixture(scope="module", params=NETWORKS)
def golden(request: pytest.FixtureRequest, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """One network at a time, in float64; small ones go through the store, large ones are imported on the fly."""
    name, size = NETWORKS[request.param]
    folder = samples / "golden"
    values = dict(np.load(folder / f"{request.param}.npz"))
    spec = importlib.util.spec_from_file_location("fill", folder / "fill.py")
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    seed = int(values["seed"])
    state = fill.weights(json.loads((folder / f"{request.param}.keys.json").read_text()), seed)
    path = tmp_path_factory.mktemp("official") / f"{request.param}.pth.tar"
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "best_prec1": 93.2}, path)
    torch.set_default_dtype(torch.float64)
    try:
        path = import_checkpoint(name, path, out=path.parent) if size == 32 else path
        victim = load_victim(name, path, mean=values["mean"].tolist(), std=values["std"].tolist())
    finally:
        torch.set_default_dtype(torch.float32)
    images = fill.images(len(values["y"]), size, seed + 100)
    return Golden(victim.requires_grad_(False), images, values)


@pytest.mark.parametrize("method", ["fgm", "lgm_gg", "lgm_fg"])
def test_network_agrees_with_golden_values(golden: Golden, method: str) -> None:
    golden.check(golden.victim, method)


def test_folded_network_agrees_with_golden_values(golden: Golden) -> None:
    fast = folded(golden.victim)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    golden.check(fast, "lgm_gg")
    if golden.images.shape[-1] == 32:
        golden.check(fast, "fgm")
