"""Every attack of the released runs against perturbations that an independent implementation computed in float64."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from ensemble_cases import perturbed
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench import FGM, LGM
from lgm_bench.attacks import BIM, FGSM, AutoPGD, CarliniWagner
from lgm_bench.attacks.attack import Attack
from lgm_bench.leaded import hard_forward
from victims import load_victim

ATTACKS: dict[str, tuple[type[Attack], dict[str, float]]] = {
    "fgsm": (FGSM, {"eps": 4}),
    "bim": (BIM, {"eps": 8, "step": 1, "steps": 10}),
    "cw": (CarliniWagner, {"eps": 8, "step": 1, "steps": 10}),
    "auto": (AutoPGD, {"eps": 8, "step": 1, "steps": 20}),
}


@dataclass
class Golden:
    victim: nn.Module
    batch: ImageBatch
    values: dict[str, np.ndarray]

    @property
    def pixels(self) -> Tensor:
        return torch.from_numpy(self.values["pixel_mask"]).bool()


@pytest.fixture(scope="module", params=["skipnet38", "dynconv8"])
def golden(request: pytest.FixtureRequest, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    name, folder = request.param, samples / "golden"
    spec = importlib.util.spec_from_file_location("fill", folder / "fill.py")
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    values = dict(np.load(folder / f"{name}.npz"))
    seed = int(values["seed"])
    state = fill.weights(json.loads((folder / f"{name}.keys.json").read_text()), seed)
    path = tmp_path_factory.mktemp("golden") / f"{name}.pth.tar"
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        victim = load_victim(f"{name}-cifar10", path, mean=values["mean"].tolist(), std=values["std"].tolist()).eval()
    finally:
        torch.set_default_dtype(before)
    labels = torch.from_numpy(values["y"])
    ids = [f"golden-{number}" for number in range(len(labels))]
    return Golden(victim, ImageBatch(fill.images(len(labels), 32, seed + 100), labels, ids), values)


@pytest.mark.parametrize("method", ["fgm", "lgm"])
@pytest.mark.parametrize("name", ATTACKS)
def test_perturbations_and_predictions(golden: Golden, name: str, method: str) -> None:
    attack_class, options = ATTACKS[name]
    gradient = FGM() if method == "fgm" else LGM(float(golden.values["lam"]))
    mask = None if name == "fgsm" else golden.pixels
    unit = 2 / 255
    in_intensities = {name: value if name == "steps" else value * unit for name, value in options.items()}
    attack = attack_class(**in_intensities, bounds=(-1.0, 1.0), mask=mask)
    adversarial = perturbed(attack, golden.victim, golden.batch, gradient)
    ours = (adversarial - golden.batch.images).numpy()
    theirs = golden.values[f"{name}_{method}_adv"]
    assert np.abs(ours).max() > 0.9 * options["eps"] * unit
    differing = (np.abs(ours - theirs) > 1e-6).reshape(len(ours), -1).sum(axis=1)  # the stored ones are float32
    assert differing.tolist() == [0] * len(ours)
    predictions = hard_forward(golden.victim, adversarial)[0].argmax(dim=1)
    assert predictions.tolist() == golden.values[f"{name}_{method}_pred"].tolist()
