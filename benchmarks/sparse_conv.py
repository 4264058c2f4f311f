"""Compares a 3x3x3 submanifold convolution with its bare matrix products: `python benchmarks/sparse_conv.py`.

It times the forward pass and the backward pass to the features on a cloud of surfaces, and then the building of
kernel maps from coordinates. The baseline multiplies the same pairs, gathered before the clock starts. All variants
take turns, so that a busy machine slows them alike, and medians are printed. Installed backends are included. Peak
memory is that of one forward and backward pass in a process of its own, without the cloud and its kernel map.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from unittest.mock import patch

import lgm_bench  # noqa: F401  # isort: skip  (before torch: it sets how idle threads wait)
import torch
from torch import Tensor

from lgm_bench.errors import ConfigError
from lgm_bench.sparse import CoordinateLevel, compiled
from lgm_bench.sparse.backends import BACKENDS, Convolution, use_backend
from lgm_bench.sparse.kernel_map import build_map, kernel_offsets
from lgm_bench.sparse.product import product

SIZES = ((100_000, 32), (100_000, 64), (20_000, 128))
BARE, NATIVE, PLAIN = "bare matrix products", "native", "native in plain PyTorch"
Ways = Mapping[str, Callable[[], object]]


def surfaces(voxels: int) -> Tensor:
    """Return about so many voxels (N, 4) on three thin wavy sheets, in random order."""
    side = round((voxels / 4.62) ** 0.5)
    first, second = torch.cartesian_prod(torch.arange(side), torch.arange(side)).T
    height = (10 * torch.sin(first / 20) + 10 * torch.cos(second / 17)).long() + 30
    sheets = [
        torch.stack(axes, 1) for axes in ((first, second, height), (first, height, second), (height, first, second))
    ]
    cells = torch.cat([sheet + torch.tensor([0, 0, shift]) for sheet in sheets for shift in (0, 1)]).unique(dim=0)
    cells = cells[torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))]
    return torch.nn.functional.pad(cells, (1, 0))


def installed() -> dict[str, str]:
    """Return the backends that can be used, and why the others cannot."""
    answers = {}
    for name in BACKENDS:
        try:
            use_backend(name).__exit__(None, None, None)
            answers[name] = ""
        except ConfigError as error:
            answers[name] = str(error)
    return answers


def convolutions(voxels: int, channels: int) -> tuple[Convolution, Ways]:
    """Return a convolution and the ways to compute it; the first is the baseline."""
    level = CoordinateLevel(surfaces(voxels))
    kernel_map = build_map(level, level, kernel_offsets((3, 3, 3)))
    convolution = Convolution(level, level, kernel_map, (3, 3, 3))
    features = torch.randn(len(level), channels, requires_grad=True)
    weight, gradient = torch.randn(27, channels, channels), torch.ones(len(level), channels)

    @cache
    def gathered() -> list[Tensor]:
        return [features.detach()[source] for source, _ in kernel_map.pairs()]

    def bare() -> None:
        for rows, matrix in zip(gathered(), weight, strict=True):
            rows @ matrix
            rows @ matrix.T

    def plain() -> None:
        with patch.object(compiled, "library", lambda: None):
            product(features, weight, kernel_map).backward(gradient)

    def by(name: str) -> Callable[[], object]:
        with use_backend(name) as backend:
            return lambda: backend.convolve(features, weight, convolution).backward(gradient)

    ways = {name: by(name) for name, problem in installed().items() if not problem}
    return convolution, {BARE: bare, NATIVE: ways.pop(NATIVE), PLAIN: plain, **ways}


def maps(voxels: int, size: int) -> Ways:
    """Return the ways to come from coordinates to the kernel map of a cube of this size."""
    coordinates = surfaces(voxels)

    def build() -> object:
        level = CoordinateLevel(coordinates)
        return build_map(level, level, kernel_offsets((size, size, size)))

    def plain() -> object:
        with patch.object(compiled, "library", lambda: None):
            return build()

    ways: dict[str, Callable[[], object]] = {NATIVE: build, PLAIN: plain}
    if not installed()["minkowski"]:
        with use_backend("minkowski") as backend:
            engine = backend.engine  # type: ignore[attr-defined]

        def minkowski() -> object:
            manager = engine.CoordinateManager(D=3)
            key, _ = manager.insert_and_map(coordinates.int(), [1, 1, 1], "")
            return manager.kernel_map(key, key, stride=1, kernel_size=size)

        ways["minkowski"] = minkowski
    return ways


def medians(ways: Ways, rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Return the median time of each way in seconds, all taking turns, after one turn that does not count."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = clock()
            way()
            if turn:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def peak_memory(name: str, voxels: int, channels: int, threads: int, answers: "multiprocessing.Queue[float]") -> None:
    """Put the MiB that one run of a way needs at its peak into `answers` (Linux; NaN elsewhere)."""
    torch.set_num_threads(threads)
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    way = convolutions(voxels, channels)[1][name]
    if not reset.exists():
        answers.put(float("nan"))
        return

    def kibibytes(field: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))

    reset.write_text("5")  # sets the peak to what is in use now
    before = kibibytes("VmRSS")
    way()
    answers.put((kibibytes("VmHWM") - before) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="that of all threads, on a machine busy with others")
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    torch.set_num_threads(options.threads)
    for name, problem in installed().items():
        if problem:
            print(f"without {name}: {problem}")
    context = multiprocessing.get_context("spawn")
    for voxels, channels in SIZES:
        convolution, ways = convolutions(voxels, channels)
        n, pairs = len(convolution.target), len(convolution.kernel_map.source)
        print(f"{n} voxels, {channels} channels, {pairs / n:.1f} pairs a voxel, {options.threads} threads")
        taken = medians(ways, options.rounds, clock)
        for name, median in taken.items():
            answers = context.Queue()
            arguments = (name, voxels, channels, options.threads, answers)
            process = context.Process(target=peak_memory, args=arguments)
            process.start()
            print(f"{median / taken[BARE]:6.2f}  {1000 * median:7.1f} ms  {answers.get():6.0f} MiB  {name}")
            process.join()
    for size in (3, 5):
        print(f"kernel map {size}x{size}x{size} of {len(surfaces(SIZES[0][0]))} voxels")
        taken = medians(maps(SIZES[0][0], size), options.rounds, clock)
        for name, median in taken.items():
            print(f"{median / taken[NATIVE]:6.2f}  {1000 * median:7.1f} ms              {name}")


if __name__ == "__main__":
    main()
