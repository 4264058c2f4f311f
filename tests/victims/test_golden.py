"""The adaptive networks against values that an independent implementation computed, through the official layout."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lgm_bench import FGM, LGM
from lgm_bench.leaded import hard_forward
from victims import import_checkpoint, load_victim

NETWORKS = {
    "skipnet38": ("skipnet38-cifar10", 32),
    "dynconv8": ("dynconv8-cifar10", 32),
    "skipnet18_imagenet": ("skipnet18-imagenet", 224),
    "dynconv50_imagenet": ("dynconv50-imagenet", 224),
}


def difference(ours: torch.Tensor, golden: np.ndarray) -> float:
    return float(np.abs(ours.detach().numpy() - golden).max() / np.abs(golden).max())


def official_file(folder: Path, golden: Path, name: str, seed: int) -> tuple[Path, torch.nn.Module]:
    spec = importlib.util.spec_from_file_location("fill", golden / "fill.py")
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    state = fill.weights(json.loads((golden / f"{name}.keys.json").read_text()), seed)
    path = folder / f"{name}.pth.tar"
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "best_prec1": 93.2}, path)
    return path, fill


@pytest.mark.parametrize("name", NETWORKS)
def test_network_agrees_with_golden_values(name: str, samples: Path, tmp_path: Path, float64) -> None:
    victim_name, size = NETWORKS[name]
    golden = np.load(samples / "golden" / f"{name}.npz")
    seed = int(golden["seed"])
    path, fill = official_file(tmp_path, samples / "golden", name, seed)
    if size == 32:  # through the store once for each family, on the fly otherwise
        import_checkpoint(victim_name, path)
        path = None
    victim = load_victim(victim_name, path, mean=golden["mean"].tolist(), std=golden["std"].tolist())
    victim.requires_grad_(False)
    images = fill.images(len(golden["y"]), size, seed + 100)

    logits, decisions = hard_forward(victim, images)
    assert difference(logits, golden["logits"]) < 1e-8
    if "masks" in golden:
        assert np.array_equal(torch.stack(decisions).numpy(), golden["masks"])
    else:
        assert np.array_equal([d.flatten(1).sum(1).numpy() for d in decisions], golden["mask_sums"])

    slope = float(golden["lam"])
    labels = torch.tensor(golden["y"])
    methods = {"fgm": FGM(), "lgm_gg": LGM(slope), "lgm_fg": LGM(slope, forward="hard")}
    for key, method in methods.items():
        x = images.clone().requires_grad_()
        with method.applied_to(victim):
            loss = F.cross_entropy(victim(x), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        assert loss.item() == pytest.approx(float(golden[f"{key}_loss"]), rel=1e-8)
        stored = gradient if size == 32 else gradient[:, :, ::7, ::7]
        assert difference(stored, golden[f"{key}_grad"]) < 1e-6, key
