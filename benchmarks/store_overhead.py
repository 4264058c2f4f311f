"""What a run costs besides its attack: BIM over many images by `run_cells`, against `BIM.attack` on the same batches.

`python benchmarks/store_overhead.py` prints by how much a run takes longer, in processor time and on the clock, at
several batch sizes. The bare attack gets the network as a run has it, folded and channels last, and images in groups of
the same size; a verdict at the end is part of it. Both take turns batch by batch, so that a busy machine slows them
alike. A run judges every image without an attack as well, and how long that takes is measured and printed beside it.
"""

import argparse
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import lgm_bench  # noqa: F401  # isort: skip  (before torch: it sets how idle threads wait)
import torch
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from datamodules.content import arrays_sha256
from datamodules.loaders import BatchLoader, image_loader
from datamodules.sampler import RankStridedSampler
from datamodules.samples_datamodule import ImageDataModule
from lgm_bench import FGM
from lgm_bench.attacks import BIM
from lgm_bench.evaluation.cells.cell import AttackSpec, Cell, DataSpec, GradientSpec, VictimSpec
from lgm_bench.evaluation.engine.runner import run_cells
from lgm_bench.tasks.tensors import Images
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
    n, victim, steps = 10_000, "resnet8-mini", 10
    bare: ClassVar[list[float]] = [0.0, 0.0]  # seconds of the attack alone, of processor and clock
    clean: ClassVar[list[float]] = [0.0, 0.0]  # those of the pass without an attack

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
        """Return the images in batches; each one goes through the bare attack before it is yielded."""
        loader = image_loader(self.pixels, self.labels, self.subset_ids(), self.test_sampler(), self.batch_size)
        make, adapter = loader.make, Images()

        def after_the_bare_attack(number: int, indices: list[int]) -> ImageBatch:
            batch = make(number, indices)
            adapter.pass_size = adapter.fixed_pass_size(batch.images, self.n)
            attack = BIM(EPS, STEP, self.steps)
            images, labels, ids = adapter.laid_out(batch)
            start = now()
            result = attack.attack(network(), images, labels, gradient=FGM(), ids=ids, adapter=adapter)
            adapter.judged(network(), result.adversarial, labels, None, ids)
            add(self.bare, start)
            start = now()
            adapter.judged(network(), images, labels, None, ids)
            add(self.clean, start)
            return batch

        loader.make = after_the_bare_attack
        return loader


@cache
def network() -> nn.Module:
    """Return the victim as it is attacked."""
    return folded(load_victim(Noise.victim, "random").eval().requires_grad_(False))


def now() -> tuple[float, float]:
    """Return seconds of processor and clock."""
    return time.process_time(), time.perf_counter()


def add(sums: list[float], start: tuple[float, float]) -> None:
    """Add the seconds since a start."""
    sums[:] = [total + after - before for total, after, before in zip(sums, now(), start, strict=True)]


def main() -> None:
    """Print a line for every batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100, 16])
    parser.add_argument("--victim", default=Noise.victim, help="of images of 32 x 32 pixels, without gates")
    parser.add_argument("--steps", type=int, default=Noise.steps)
    options = parser.parse_args()
    import store_overhead as here  # the module that the cell names, not this script

    here.Noise.n, here.Noise.victim, here.Noise.steps = options.images, options.victim, options.steps
    here.labels_of(options.images)
    spec = VictimSpec(options.victim, checkpoint="random")
    attack = AttackSpec("bim", EPS, STEP, options.steps)
    cell = Cell(spec, DataSpec("store_overhead:Noise"), attack, GradientSpec("fgm"))
    for size in options.sizes:
        whole: list[float] = [0.0, 0.0]
        here.Noise.bare[:] = here.Noise.clean[:] = 0.0, 0.0
        start = now()
        with tempfile.TemporaryDirectory() as out:
            for _, error in run_cells([cell], Path(out), batch_size=size, accelerator="cpu").failures:
                raise error
            add(whole, start)
        for clock, total, bare, clean in zip(
            ("of processor time", "on the clock"), whole, here.Noise.bare, here.Noise.clean, strict=True
        ):
            run = total - bare - clean
            print(
                f"batch {size:5d}, {clock}: run {run:.2f} s, bare attack {bare:.2f} s, {run / bare - 1:+.1%}, of which "
                f"{clean / bare:.1%} without an attack",
                flush=True,
            )


if __name__ == "__main__":
    main()
