"""The time that the rest of a run takes, estimated from what its cells have taken so far."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from functools import cached_property
from statistics import fmean
from typing import NamedTuple

from datamodules import DATAMODULES
from lgm_bench.errors import LgmBenchError
from lgm_bench.evaluation.cells.cell import Cell, DataSpec
from lgm_bench.evaluation.estimates.estimate import LARGE_IMAGES, POINTS, SMALL_IMAGES, Estimate, estimates
from lgm_bench.registry import resolve
from lgm_bench.tasks.base import task_named

SCENES = "scenes"
RELATIVE = {SMALL_IMAGES: 1.0, LARGE_IMAGES: 10.0, POINTS: 6.0, SCENES: 22.0}
"""Time per sample relative to small images at the same work, as it was for the suite `mini` on a CPU. It fills in for
kinds of which no cell has finished yet."""
RUNNING = 0.2
"""Share of a running cell from which on its own pace counts more than the time that was expected of it."""


class _Planned(NamedTuple):
    """A cell's part in the estimate.

    Attributes:
        groups: Groups of cells that it belongs to, from all cells to those that are most like it.
        samples: Number of samples; None if it is not known before the cell begins.
        work: Work per sample.
    """

    groups: Sequence[Hashable]
    samples: int | None
    work: float


class TimeLeft:
    """Estimates the time that the rest of a run takes.

    A cell takes some time to start and then time in proportion to its work: iterations x samples x operations. The
    factor is that of finished cells, and the more alike they are the more they count: the same victim, attack and
    gradient, then the same victim, then the same kind of data. Between victims time grows as the square root of the
    operations, since small networks use a machine less well.

    Args:
        cells: In the order in which they run.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self._samples: dict[DataSpec, int] = {}
        self._starts: list[float] = []
        self._seconds: dict[Hashable, float] = defaultdict(float)
        self._done: dict[Hashable, float] = defaultdict(float)

    def begun(self, number: int, samples: int) -> None:
        """Note how many samples the cell with this number has."""
        self._samples[self.cells[number].data] = samples

    def finished(self, number: int, share: float, seconds: float, computing: float) -> None:
        """Note that a share of a cell took `seconds`, and `computing` seconds without its start."""
        self._starts.append(max(seconds - computing, 0.0))
        for group in self._plan[number].groups:
            self._seconds[group] += min(computing, seconds)
            self._done[group] += share * self._work(number)

    def seconds(self, number: int, share: float = 0.0, elapsed: float = 0.0) -> float | None:
        """Return the time left from a point in the cell with this number on; None if nothing was measured yet.

        Args:
            number: The running cell, or the next one; the number of cells at the end of the run.
            share: Share of the running cell's samples that this run has finished.
            elapsed: Time that this took, seconds.
        """
        done = self._done[()] + (share * self._work(number) if share else 0.0)
        if not done:
            return None
        pace = (self._seconds[()] + elapsed) / done
        left = [self._expected(later, pace) for later in range(number, len(self.cells))]
        if share:
            left[0] = (elapsed + RUNNING * left[0]) / (share + RUNNING) * (1 - share)
        return sum(left)

    def _expected(self, number: int, pace: float) -> float:
        """Return the time of a whole cell, given the seconds per work of all cells."""
        work = self._work(number)
        if not work:
            return 0.0
        for group in self._plan[number].groups:
            pace = (self._seconds[group] + work * pace) / (self._done[group] + work)
        return (fmean(self._starts) if self._starts else 0.0) + work * pace

    def _work(self, number: int) -> float:
        known = self._samples.get(self.cells[number].data, self._plan[number].samples)
        return self._plan[number].work * (known or fmean(self._samples.values() or [1]))

    @cached_property
    def _plan(self) -> list[_Planned]:
        found = estimates(self.cells)
        usual = fmean([one.gflops for one in found if one.gflops] or [1.0])
        gflops = [one.gflops or usual for one in found]
        victims = [(cell.victim, cell.data.name) for cell in self.cells]
        of_victims: defaultdict[Hashable, list[float]] = defaultdict(list)
        for victim, number in zip(victims, gflops, strict=True):
            of_victims[victim].append(number)
        return [
            _planned(cell, one, number / fmean(of_victims[victim]) ** 0.5)
            for cell, one, number, victim in zip(self.cells, found, gflops, victims, strict=True)
        ]


def _planned(cell: Cell, one: Estimate, weight: float) -> _Planned:
    kind = SCENES if _labels_points(cell.data.name) else one.kind
    victim = cell.victim, cell.data.name, cell.gradient.name
    groups = [(), kind, victim[:2], victim, (*victim, cell.attack.name, cell.attack.steps, cell.attack.targeted)]
    work = 0.0 if one.same_as else RELATIVE[kind] * (one.iterations + 1) * one.attempts * weight
    return _Planned(groups, one.samples, work)


def _labels_points(data: str) -> bool:
    try:
        return task_named(resolve("data set", data, DATAMODULES).task).labels_points
    except LgmBenchError:  # its cells will fail, or have failed
        return False
