"""Measures one iteration of Point-BIM on clouds of real size: `python benchmarks/clouds.py`.

An iteration is the gradient, a step, and the hard network's verdict on the points after it. It runs once with the
compiled sums over pairs, norms and chunks, and once in plain PyTorch around the same compiled convolutions. All ways
take turns, so that a busy machine slows them alike, and medians are printed: seconds, and the MB that an iteration
needs at its peak beyond what was in use before it (Linux; NaN elsewhere). Rooms are generated. The street is a scan of
SemanticKITTI from the folder LGM_BENCH_SAMPLES, or from --scans. The table of growth counts points of a dense room.
"""

import argparse
import ctypes
import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import lgm_bench  # noqa: F401  # isort: skip  (before torch: it sets how idle threads wait)
import torch
from torch import Tensor

from datamodules.generated.rooms.room import S3DIS, SCANNET, Density, Style, s3dis_room, scannet_room
from datamodules.scene import Scene, collate
from datamodules.semantickitti import SemanticKITTIDataModule
from lgm_bench.attacks import PointBIM
from lgm_bench.evaluation.cells.released import point_settings
from lgm_bench.leaded import gradient_named
from lgm_bench.voxels import PointCloud, VoxelSlopes
from victims import load_victim

COMPILED, PLAIN = "compiled", "plain"
GRADIENTS = ("fgm", "lgm")
EPS = {"minkunet14-scannet": 0.01, "minkunet14-s3dis": 0.05, "cylinder3d-small-semantickitti": 0.02}
ROOMS: dict[str, tuple[Style, Callable]] = {
    "minkunet14-scannet": (SCANNET, scannet_room),
    "minkunet14-s3dis": (S3DIS, s3dis_room),
}
STREET = "cylinder3d-small-semantickitti"


class Iteration(PointBIM):
    """One gradient and one verdict."""

    judges_start = False


class Measured(NamedTuple):
    seconds: float
    megabytes: float


def room(victim: str, points: int) -> tuple[PointCloud, Tensor]:
    """Return a room of about so many points in the style of the victim's data set, with the victim's own labels."""
    style, generate = ROOMS[victim]
    dense = style._replace(density=Density((points, points + 1), (0.0, 1.0), style.density.roughness))
    made = generate(next(iter(style.plans)), (0, 0), dense)
    cloud = PointCloud(
        torch.from_numpy(made.points).float(),
        torch.from_numpy(made.colours).float() / 255,
        torch.zeros(len(made.points), dtype=torch.int64),
    )
    with torch.no_grad():
        return cloud, load_victim(victim)(cloud).argmax(dim=1)


def scan(folder: Path) -> tuple[PointCloud, Tensor] | None:
    """Return the first scan of SemanticKITTI's sequence 08 with its labels, if it is there."""
    if not folder.is_dir():
        return None
    data = SemanticKITTIDataModule(folder)
    first = data.list_ids("test")[0]
    scene: Scene = data.read(first)
    batch = collate([scene], [first])
    return batch.cloud, batch.labels


def iteration(victim: str, gradient: str, cloud: PointCloud, labels: Tensor) -> Callable[[], object]:
    """Return a function that runs one iteration with the settings of the released runs."""
    settings = point_settings(victim, gradient, EPS[victim])
    slopes = VoxelSlopes(settings.input_slope, settings.output_slope, settings.floor_slope)
    method = gradient_named(gradient, settings.slope, slopes)
    attack = Iteration(EPS[victim], settings.step, 1, loss=settings.loss)
    network = load_victim(victim)
    return lambda: attack.attack(network, cloud, labels, gradient=method)


@contextmanager
def by(way: str) -> Iterator[None]:
    """Do without compiled pairs, norms and chunks in this block if the way is plain."""
    with ExitStack() as stack:
        if way == PLAIN:
            stack.enter_context(patch("lgm_bench.voxels.voxelization.usable", lambda *_: False))
            stack.enter_context(patch("lgm_bench.sparse.norm.usable", lambda *_: False))
            stack.enter_context(patch("victims.cylinder3d.by_chunks", lambda function, *inputs: function(*inputs)))
        yield


def measured(run: Callable[[], object], clock: Callable[[], float]) -> Measured:
    """Run once."""
    gc.collect()
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def megabytes(field: str) -> float:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field)) / 1000

    if not reset.exists():
        start = clock()
        run()
        return Measured(clock() - start, float("nan"))
    ctypes.CDLL(None).malloc_trim(0)  # gives freed memory back, so that it is counted when it is needed again
    reset.write_text("5")  # sets the peak to what is in use now
    before, start = megabytes("VmRSS"), clock()
    run()
    return Measured(clock() - start, megabytes("VmHWM") - before)


def medians(
    ways: dict[tuple[str, str], Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[tuple[str, str], Measured]:
    """Return the medians of each (gradient, way), all taking turns, after one turn that does not count."""
    found: dict[tuple[str, str], list[Measured]] = {key: [] for key in ways}
    for turn in range(rounds + 1):
        for key, run in ways.items():
            with by(key[1]):
                outcome = measured(run, clock)
            if turn:
                found[key].append(outcome)
    return {key: Measured(*map(statistics.median, zip(*values, strict=True))) for key, values in found.items()}


def compare(
    name: str, victim: str, cloud: PointCloud, labels: Tensor, options: argparse.Namespace, plain: bool = True
) -> None:
    """Print a line for each gradient and way."""
    ways = {
        (gradient, way): iteration(victim, gradient, cloud, labels)
        for gradient in GRADIENTS
        for way in ((COMPILED, PLAIN) if plain else (COMPILED,))
    }
    clock = time.process_time if options.cpu_time else time.perf_counter
    for (gradient, way), (seconds, megabytes) in medians(ways, options.rounds, clock).items():
        points = f"{len(cloud.points):,} points"
        print(f"{name} | {points} | {gradient.upper()} | {way} | {seconds:.2f} s | {megabytes:,.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000, help="of the rooms")
    parser.add_argument("--growth", type=int, nargs="*", default=[10_000, 30_000, 100_000, 300_000])
    parser.add_argument("--plain-up-to", type=int, default=300_000, help="points; beyond, plain PyTorch needs > 6 GB")
    parser.add_argument("--scans", type=Path, default=None, help="folder of SemanticKITTI")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="that of all threads, on a machine busy with others")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    samples = os.environ.get("LGM_BENCH_SAMPLES")
    folder = options.scans or (Path(samples) / "data" / "semantickitti" if samples else None)
    street = None if folder is None else scan(folder)
    if options.points:
        for victim in ROOMS:
            compare("room", victim, *room(victim, options.points), options, options.points <= options.plain_up_to)
    if street is not None:
        compare("street", STREET, *street, options, options.plain_up_to > 0)
    for points in options.growth:
        cloud, labels = room("minkunet14-s3dis", points)
        compare("growth", "minkunet14-s3dis", cloud, labels, options, points <= options.plain_up_to)


if __name__ == "__main__":
    main()
