"""What the scripts on the members of the standard evaluation have in common: a victim and held-out training images."""

import argparse
from pathlib import Path

from torch import nn

from datamodules import load_datamodule
from datamodules.batch import ImageBatch
from lgm_bench.tasks.inputs import parse_number
from victims import load_victim
from victims.folding import folded


def parser(description: str, out: Path) -> argparse.ArgumentParser:
    """Return a parser for a victim and its images; finished parts go to the folder `--out`."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("victim", nargs="?")
    found.add_argument("--data", default="cifar10")
    found.add_argument("--checkpoint")
    found.add_argument("--eps", type=parse_number, default=1 / 255)
    found.add_argument("--images", type=int, default=100)
    found.add_argument("--data-root")
    found.add_argument("--out", type=Path, default=out)
    return found


def victim_and_images(options: argparse.Namespace) -> tuple[nn.Module, ImageBatch]:
    """Return the victim with folded norms, and its images as one batch."""
    size = {"batch_size": options.images, "limit": options.images}
    data = load_datamodule(options.data, data_root=options.data_root, subset="holdout", **size)
    data.prepare_data()
    data.setup("test")
    return folded(load_victim(options.victim, options.checkpoint)), ImageBatch(*next(iter(data.test_dataloader())))
