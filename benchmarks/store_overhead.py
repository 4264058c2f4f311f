"""What a run costs besides its attack: FGM over many images by `run_cells`, against a plain loop that keeps nothing.

`python benchmarks/store_overhead.py` prints by how much a run takes longer, in processor time and on the clock, at
several batch sizes. The plain loop computes the same: clean logits, a gradient per step, final logits. Both take turns
batch by batch, so that a busy machine slows them alike. One step is FGSM, more are BIM.
"""

import argparse
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import lgm_bench  # noqa: F401  # isort: skip  (before torch: it sets how idle threads wait)
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from datamodules.content import arrays_sha256
from datamodules.loaders import BatchLoader, image_loader
from datamodules.sampler import RankStridedSampler
from datamodules.samples_datamodule import ImageDataModule
from lgm_bench.evaluation.cells.cell import AttackSpec, Cell, DataSpec, GradientSpec, VictimSpec
from lgm_bench.evaluation.engine.runner import run_cells
from victims import load_victim
from victims.folding import folded

EPS, STEP = 8 / 255, 2 / 255


@cache
def noise(n: int) -> Tensor:
    """Return n images (n, 32, 32, 3) uint8."""
    return torch.randint(256, (n, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@cache
def labels_of(n: int) -> Tensor:
    """Return what the victim takes them for."""
    victim = network()
    unknown, names = torch.zeros(n, dtype=torch.int64), list(map(str, range(n)))
    with torch.no_grad():
        batches = image_loader(noise(n), unknown, names, RankStridedSampler(n, 0, 1), 100)
        return torch.cat([victim(batch.images).argmax(1) for batch in batches])


class Noise(ImageDataModule):
    """Images of noise, in memory; labelled by the victim, so that all of them are attacked."""

    name, num_classes, class_names, subsets = "noise", 10, tuple("abcdefghij"), ("test",)
    n, victim, steps = 10_000, "resnet32-cifar10", 1
    loop: ClassVar[list[float]] = [0.0, 0.0]  # seconds of the plain loop, of processor and clock

    def __init__(self, data_root: Any = None, batch_size: int = 100, limit: Any = None, subset: str = "test") -> None:
        super().__init__(data_root, batch_size, limit, subset)
        self.pixels, self.labels = noise(self.n), labels_of(self.n)

    def subset_ids(self) -> list[str]:
        """Return one id an image."""
        return [f"noise-{number}" for number in range(self.n)]

    def content_sha256(self) -> str:
        """Return the sha256 of all images."""
        return arrays_sha256(self.pixels, self.labels)

    def test_dataloader(self) -> BatchLoader[ImageBatch]:
        """Return the images in batches; the plain loop runs on each batch before it is yielded."""
        loader = image_loader(self.pixels, self.labels, self.subset_ids(), self.test_sampler(), self.batch_size)
        make = loader.make

        def after_the_plain_loop(number: int, indices: list[int]) -> ImageBatch:
            batch = make(number, indices)
            start = now()
            plain_loop(network(), batch, self.steps)
            self.loop[:] = [sum(pair) for pair in zip(self.loop, since(start), strict=True)]
            return batch

        loader.make = after_the_plain_loop
        return loader


@cache
def network() -> nn.Module:
    """Return the victim as it is attacked."""
    return folded(load_victim(Noise.victim, "random").eval().requires_grad_(False))


def plain_loop(victim: nn.Module, batch: ImageBatch, steps: int) -> int:
    """Return how many images FGSM (one step) or BIM leaves."""
    x, y, _ = batch
    step = EPS if steps == 1 else STEP
    low, high = (x - EPS).clamp(min=0), (x + EPS).clamp(max=1)
    with torch.no_grad():
        clean = victim(x).argmax(1) == y
    moving = x
    for _ in range(steps):
        moving = moving.clone().requires_grad_()
        with torch.enable_grad():
            loss = F.cross_entropy(victim(moving), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, moving)
        moving = torch.minimum(torch.maximum(moving.detach() + step * gradient.sign(), low), high)
    with torch.no_grad():
        after = victim(moving).argmax(1) == y
    return int((clean & after).sum())


def now() -> tuple[float, float]:
    """Return seconds of processor and clock."""
    return time.process_time(), time.perf_counter()


def since(start: tuple[float, float]) -> list[float]:
    """Return the seconds of processor and clock since then."""
    return [after - before for after, before in zip(now(), start, strict=True)]


def main() -> None:
    """Print a line for every batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100, 16])
    parser.add_argument("--victim", default=Noise.victim, help="of images of 32 x 32 pixels, without gates")
    parser.add_argument("--steps", type=int, default=1)
    options = parser.parse_args()
    import store_overhead as here  # the module that the cell names, not this script

    here.Noise.n, here.Noise.victim, here.Noise.steps = options.images, options.victim, options.steps
    here.labels_of(options.images)
    attack = AttackSpec("fgsm", EPS) if options.steps == 1 else AttackSpec("bim", EPS, STEP, options.steps)
    spec = VictimSpec(options.victim, checkpoint="random")
    cell = Cell(spec, DataSpec("store_overhead:Noise"), attack, GradientSpec("fgm"))
    for size in options.sizes:
        here.Noise.loop[:] = 0.0, 0.0
        start = now()
        with tempfile.TemporaryDirectory() as out:
            for _, error in run_cells([cell], Path(out), batch_size=size, accelerator="cpu").failures:
                raise error
            spent = since(start)
        cpu, clock = (whole / loop - 2 for whole, loop in zip(spent, here.Noise.loop, strict=True))
        print(f"batch {size:5d}: {cpu:+.1%} of processor time, {clock:+.1%} on the clock", flush=True)


if __name__ == "__main__":
    main()
