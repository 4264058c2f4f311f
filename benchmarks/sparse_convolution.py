"""How fast a 3x3x3 submanifold convolution is, against its bare products: `python benchmarks/sparse_convolution.py`.

Forward and backward to the features on a cloud of surfaces. The baseline multiplies the same pairs, gathered before the
clock starts; all ways take turns, so that a busy machine slows them alike. Peak memory is that of each way in a
process of its own.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from lgm_bench.leaded.sparse import CoordinateLevel
from lgm_bench.leaded.sparse.kernel_map import KernelMap, build_map, kernel_offsets
from lgm_bench.leaded.sparse.product import product, reference_product

SIZES = ((100_000, 32), (100_000, 64), (20_000, 128))


def surfaces(voxels: int) -> CoordinateLevel:
    """Return about so many voxels on three thin wavy sheets, in random order."""
    side = round((voxels / 6) ** 0.5)
    first, second = torch.cartesian_prod(torch.arange(side), torch.arange(side)).T
    height = (10 * torch.sin(first / 20) + 10 * torch.cos(second / 17)).long() + 30
    sheets = [
        torch.stack(axes, 1) for axes in ((first, second, height), (first, height, second), (height, first, second))
    ]
    cells = torch.cat([sheet + torch.tensor([0, 0, shift]) for sheet in sheets for shift in (0, 1)]).unique(dim=0)
    cells = cells[torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))]
    return CoordinateLevel(torch.nn.functional.pad(cells, (1, 0)))


def ways(kernel_map: KernelMap, features: Tensor, weight: Tensor) -> dict[str, Callable[[], object]]:
    """Return what is compared; the first is the baseline."""
    gradient = torch.ones_like(features)

    @cache
    def gathered() -> list[Tensor]:
        return [features.detach()[source] for source, _ in kernel_map.pairs()]

    def bare() -> None:
        for rows, matrix in zip(gathered(), weight, strict=True):
            rows @ matrix
            rows @ matrix.T

    def plain() -> None:
        reference_product(features.detach(), weight, kernel_map)
        reference_product(gradient, weight.transpose(1, 2).flip(0), kernel_map)

    return {
        "bare matrix products": bare,
        "lgm-bench": lambda: product(features, weight, kernel_map).backward(gradient),
        "gather, multiply, index_add": plain,
    }


def prepared(voxels: int, channels: int) -> tuple[KernelMap, Tensor, Tensor]:
    level = surfaces(voxels)
    features = torch.randn(len(level), channels, requires_grad=True)
    return build_map(level, level, kernel_offsets((3, 3, 3))), features, torch.randn(27, channels, channels)


def peak_memory(name: str, voxels: int, channels: int, answers: "multiprocessing.Queue[float]") -> None:
    """Put the MiB that one run of a way needs at its peak into `answers` (Linux; NaN elsewhere)."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    kernel_map, features, weight = prepared(voxels, channels)
    chosen = ways(kernel_map, features, weight)[name]
    if not reset.exists():
        answers.put(float("nan"))
        return

    def kibibytes(field: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))

    reset.write_text("5")  # sets the peak to what is in use now
    before = kibibytes("VmRSS")
    chosen()
    answers.put((kibibytes("VmHWM") - before) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for voxels, channels in SIZES:
        start = time.perf_counter()
        kernel_map, features, weight = prepared(voxels, channels)
        built = time.perf_counter() - start
        n, pairs = kernel_map.n_targets, kernel_map.n_pairs / kernel_map.n_targets
        print(f"{n} voxels, {channels} channels, {pairs:.1f} pairs a voxel, {torch.get_num_threads()} threads")
        print(f"        {1000 * built:7.0f} ms  cloud and kernel map")
        compared = ways(kernel_map, features, weight)
        times: dict[str, list[float]] = {name: [] for name in compared}
        for way in compared.values():
            way()
        for _ in range(rounds):
            for name, way in compared.items():
                start = time.perf_counter()
                way()
                times[name].append(time.perf_counter() - start)
        medians = {name: statistics.median(values) for name, values in times.items()}
        for name, median in medians.items():
            answers = multiprocessing.get_context("spawn").Queue()
            process = multiprocessing.get_context("spawn").Process(
                target=peak_memory, args=(name, voxels, channels, answers)
            )
            process.start()
            ratio = median / medians["bare matrix products"]
            print(f"{ratio:6.2f}  {1000 * median:7.0f} ms  {answers.get():6.0f} MiB  {name}")
            process.join()


if __name__ == "__main__":
    main()
