"""Time and multiply-adds of networks that really skip, one image at a time: FLOPs are not time.

    python benchmarks/deployed.py skipnet20-cifar10 dynconv20-cifar10 rdi_resnet38-cifar10=CHECKPOINT

Prints, for each victim, the multiply-adds that the hard network needs for an image, and the time of a pass that skips
(`deployed`), both as shares of the pass that computes everything. Images are the first ones of CIFAR-10's test set.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import lgm_bench  # noqa: F401  # isort: skip  (before torch: it sets how idle threads wait)
import torch
from torch import Tensor

from datamodules.cifar10 import CIFAR10DataModule
from lgm_bench.leaded import decision_costs
from lgm_bench.leaded.recording import hard_units
from victims import load_victim
from victims.folding import folded


def median_time(run: Callable[[Tensor], Tensor], images: Tensor, repeats: int = 3) -> float:
    """Return the median seconds of a pass over a single image."""
    times = []
    for image in images.split(1) * repeats:
        start = time.perf_counter()
        run(image)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@torch.no_grad()
def main() -> None:
    """Print a line for each victim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("victims", nargs="+", metavar="VICTIM[=CHECKPOINT]")
    parser.add_argument("--data-root")
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    data = CIFAR10DataModule(options.data_root, batch_size=options.images, limit=options.images)
    data.setup("test")
    images = next(iter(data.test_dataloader()))[0]
    for asked in options.victims:
        name, _, checkpoint = asked.partition("=")
        victim = folded(load_victim(name, checkpoint or None))
        costs, network = decision_costs(victim, images[:1]), victim.network
        share = costs.of(hard_units(victim, images)[1]).mean().item() / costs.full
        normalized = (images - victim.mean) / victim.std
        whole, skipping = median_time(network, normalized), median_time(network.deployed, normalized)
        print(
            f"{name}: {costs.full / 1e6:.1f} million multiply-adds, {share:.0%} of them executed; one image takes "
            f"{1000 * whole:.1f} ms, {skipping / whole:.0%} of that where the network skips"
        )


if __name__ == "__main__":
    main()
