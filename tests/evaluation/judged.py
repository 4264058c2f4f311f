"""Miniature cells whose victims, with random weights, are right about two thirds of the images."""

import pickle
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from hand_made import flat_cell
from miniatures import CIFAR_FOLDER, dump, write_cifar10

from lgm_bench.evaluation.cells.cell import Cell
from victims import load_victim
from victims.image_victim import ImageVictim
from victims.mini import skipnet14

DATA = "tiny_cifar10:TinyCIFAR10"
SKIPNET, DYNCONV, STATIC = "judged:undecided", "dynconv8-mini", "tiny_networks:Linear"


def undecided() -> ImageVictim:
    """Return a SkipNet whose scores differ between images and lie around 0; random ones decide all alike."""
    victim = skipnet14()
    control = victim.network.control
    with torch.no_grad():
        for name, layer in victim.network.named_modules():
            if name.endswith(("gate0.1", "gate1.1")):
                layer.weight.mul_(30)
                layer.bias.zero_()
        control.rnn.bias_ih_l0.zero_()
        control.rnn.bias_hh_l0.zero_()
        control.proj.weight.mul_(10)
        control.proj.bias.fill_(0.7)
    return victim


def write_judged(root: Path, victim: str, n: int) -> Path:
    """Write `n` test images; the labels are what the victim predicts, but for every third image."""
    folder = write_cifar10(root, train=20, test=n) / CIFAR_FOLDER
    path = folder / "test_batch"
    with path.open("rb") as file:
        batch = pickle.load(file)
    # Squares of 8 x 8 pixels: the means of plain noise would be the same in all images.
    pixels = F.interpolate(torch.from_numpy(batch["data"]).view(n, 3, 32, 32)[:, :, :4, :4], scale_factor=8)
    batch["data"] = pixels.flatten(1).numpy()
    with torch.no_grad():
        predicted = load_victim(victim, "random")(pixels.float() / 255).argmax(1).tolist()
    batch["labels"] = [(label + (index % 3 == 0)) % 10 for index, label in enumerate(predicted)]
    dump(batch, path)
    return root


def judged_cell(victim: str, gradient: str = "fgm", **options: Any) -> Cell:
    """Return a cell of one victim with random weights on `write_judged` images."""
    slope = 1.0 if gradient == "lgm" else None
    given = {"attack": "fgsm", "eps": 4.0, "slope": slope, "checkpoint": "random", **options}
    return flat_cell(victim, DATA, gradient=gradient, **given)
