"""Compares the speed of an attack with that of a plain loop: `python benchmarks/image_attack.py`.

Runs BIM on ResNet-32 with random weights, and prints the median time of every variant relative to the plain loop with
frozen parameters. The variants take turns, so that a busy machine slows all of them alike.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import lgm_bench  # noqa: F401  # isort: skip  (before torch: it sets how idle threads wait)
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench.attacks import BIM
from victims import load_victim
from victims.folding import folded

EPS = 8 / 255


def plain_loop(victim: nn.Module, batch: ImageBatch, steps: int) -> Tensor:
    """Take sign steps of 1/255 in the ball of 8/255, in the plainest way."""
    x = batch.images.clone()
    low, high = (batch.images - EPS).clamp(min=0), (batch.images + EPS).clamp(max=1)
    for _ in range(steps):
        x = x.detach().requires_grad_()
        F.cross_entropy(victim(x), batch.labels, reduction="sum").backward()
        x = torch.minimum(torch.maximum(x.detach() + x.grad.sign() / 255, low), high)
    return x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--victim", default="resnet32-cifar10")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cpu-time", action="store_true", help="that of all threads, on a machine busy with others")
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(options.images, 3, 32, 32, generator=generator)
    batch = ImageBatch(images, torch.arange(options.images) % 10, [str(i) for i in range(options.images)])
    trainable = load_victim(options.victim, "random").requires_grad_(True)
    frozen = load_victim(options.victim, "random").requires_grad_(False)
    fast, attack = folded(frozen), BIM(EPS, 1 / 255, options.steps)
    ways: dict[str, Callable[[], Tensor]] = {
        "plain loop, frozen parameters": lambda: plain_loop(frozen, batch, options.steps),
        "plain loop, gradients of parameters too": lambda: plain_loop(trainable, batch, options.steps),
        "lgm-bench": lambda: attack.perturb(frozen, batch.images, batch.labels),
        "lgm-bench, folded and channels last": lambda: attack.perturb(fast, batch.images, batch.labels),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            start = clock()
            way()
            times[name].append(clock() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    baseline = medians["plain loop, frozen parameters"]
    print(f"{options.victim}, {options.images} images, {options.steps} steps, {torch.get_num_threads()} threads")
    for name, median in medians.items():
        print(f"{median / baseline:6.2f}  {median:7.2f} s  {name}")


if __name__ == "__main__":
    main()
