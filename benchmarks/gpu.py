"""Compares attacks on a GPU with those on the CPU: `python benchmarks/gpu.py`.

Attacks a SkipNet and a sparse network with BIM under FGM and LGM. Images go through the loop under PyTorch's
`set_sync_debug_mode("error")`, which stops at an operation that makes the GPU wait for Python: the loop has none. Point
clouds find their voxels anew in every step, which has to wait, so they are only timed. For each attack it prints
seconds, peak memory on the GPU, and how many verdicts on samples or points differ from the CPU's. Without a GPU it says
so and exits with code 2.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import lgm_bench  # noqa: F401  # isort: skip  (before torch: it sets how idle threads wait)
import torch
from clouds import ROOMS, Iteration, room
from torch import Tensor, nn

from lgm_bench.attacks import BIM, Attack
from lgm_bench.attacks.attack import State
from lgm_bench.attacks.problem import Evaluation, Problem
from lgm_bench.leaded import FGM, LGM, GradientMethod
from lgm_bench.sparse.backends import usual_backend
from lgm_bench.voxels import VoxelSlopes
from victims import load_victim

EPS, POINT_EPS = 8 / 255, 0.05
WITHOUT_GPU = 2


class Watched(BIM):
    """BIM whose steps after the first must not make a GPU wait; the first compiles kernels and reads the labels."""

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        if problem.clean.is_cuda:
            torch.cuda.set_sync_debug_mode("default" if iteration == self.steps - 1 else "error")
        return super().update(problem, state, evaluation, iteration)


def images(n: int) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a SkipNet with its own weights, images of noise, and what it takes them for."""
    victim = load_victim("skipnet20-cifar10").eval()
    noise = torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return victim, noise, victim(noise).argmax(dim=1)


def scene(points: int) -> tuple[nn.Module, Any, Tensor]:
    """Return a sparse network with its own weights, a generated room, and what it takes the points for."""
    name = list(ROOMS)[-1]
    return load_victim(name).eval(), *room(name, points)


def predictions(victim: nn.Module, inputs: Any, adversarial: Tensor) -> Tensor:
    """Return the hard network's classes after an attack, on the CPU."""
    with torch.no_grad():
        moved = adversarial if isinstance(inputs, Tensor) else inputs.moved(adversarial)
        classes: Tensor = victim(moved).argmax(dim=1).cpu()
        return classes


def seconds(run: Callable[[], object], rounds: int) -> float:
    """Return the median time of several runs, each until the GPU is done."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def compare(
    name: str, victim: nn.Module, inputs: Any, labels: Tensor, attack: Attack, gradient: GradientMethod, rounds: int
) -> None:
    """Print a line: time and memory on the GPU, time on the CPU, and the verdicts that differ."""
    start = time.perf_counter()
    expected = predictions(victim, inputs, attack.attack(victim, inputs, labels, gradient=gradient).adversarial)
    on_cpu = time.perf_counter() - start
    victim, labels = victim.to("cuda"), labels.to("cuda")
    inputs = inputs.to("cuda") if isinstance(inputs, Tensor) else type(inputs)(*(part.to("cuda") for part in inputs))
    result = attack.attack(victim, inputs, labels, gradient=gradient)  # the first run compiles kernels
    torch.cuda.reset_peak_memory_stats()
    taken = seconds(lambda: attack.attack(victim, inputs, labels, gradient=gradient), rounds)
    memory = torch.cuda.max_memory_allocated() / 1e6
    differ = int((predictions(victim, inputs, result.adversarial) != expected).sum())
    victim.to("cpu")
    verdicts = f"{differ} of {len(expected)} verdicts differ from the CPU's"
    print(f"{name} | {gradient!r} | GPU {taken:.3f} s, {memory:,.0f} MB | CPU {on_cpu:.2f} s | {verdicts}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("there is no GPU here that PyTorch can use; nothing was measured", file=sys.stderr)
        raise SystemExit(WITHOUT_GPU)
    print(
        f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, sparse convolutions by {usual_backend('cuda')}"
    )
    print("verdicts differ because devices round differently, and rounding decides some signs of gradients")
    slopes = VoxelSlopes(45.0, 45.0, 20.0)
    for gradient in (FGM(), LGM(5.0)):
        attack = Watched(EPS, EPS / 4, options.steps)
        compare("skipnet20-cifar10", *images(options.images), attack, gradient, options.rounds)
    for gradient in (FGM(voxels=slopes), LGM(55.0, voxels=slopes)):
        attack = Iteration(POINT_EPS, POINT_EPS / 2, 1, loss="cross_entropy")
        compare(f"{list(ROOMS)[-1]}, one step", *scene(options.points), attack, gradient, options.rounds)


if __name__ == "__main__":
    main()
