"""Estimated cost of a suite on this machine: the work of every cell, and a rough time."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from lgm_bench.evaluation.cells.cell import NO_GRADIENT, AttackSpec, Cell, DataSpec, GradientSpec, VictimSpec
from lgm_bench.evaluation.cells.kinds import inputs_of
from lgm_bench.evaluation.estimates.calibration import gflops_per_second
from lgm_bench.evaluation.estimates.estimate import Estimate, estimates
from lgm_bench.evaluation.estimates.flops import counted_pass, point_pass
from lgm_bench.evaluation.wording import describe


@dataclass(frozen=True)
class Preview:
    """Cells with their estimated cost.

    Attributes:
        cells: In the order in which they run.
        work: The work of each cell.
        missing: Cells that cannot run here.
        rates: GFLOPs per second by kind of work, measured on `device`.
        device: Name of the device, such as "cpu".
    """

    cells: Sequence[Cell]
    work: Sequence[Estimate]
    missing: frozenset[Cell]
    rates: Mapping[str, float]
    device: str

    def seconds(self, estimate: Estimate) -> float | None:
        """Return the rough time of a cell on one device; None if its work is unknown."""
        gflops = estimate.total_gflops
        return None if gflops is None else gflops and gflops / self.rates[estimate.kind]

    def groups(self) -> dict[str, list[int]]:
        """Return the indices of the cells by table of the paper, or else by data set."""
        found: dict[str, list[int]] = {}
        for number, cell in enumerate(self.cells):
            found.setdefault(cell.paper[0] if cell.paper else cell.data.name, []).append(number)
        return found

    def totals(self, numbers: Sequence[int]) -> dict[str, Any]:
        """Return the sums over the cells with these indices; unknown work is counted apart."""
        known = [self.work[number] for number in numbers if self.work[number].total_gflops is not None]
        return {
            "cells": len(numbers),
            "ready": sum(self.cells[number] not in self.missing for number in numbers),
            "unknown": len(numbers) - len(known),
            "gflops": sum(estimate.total_gflops or 0.0 for estimate in known),
            "seconds": sum(self.seconds(estimate) or 0.0 for estimate in known),
        }

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        cells = [
            asdict(cell) | {"ready": cell not in self.missing, "estimate": self._estimate(estimate)}
            for cell, estimate in zip(self.cells, self.work, strict=True)
        ]
        groups = {name: self.totals(numbers) for name, numbers in self.groups().items()}
        total = self.totals(range(len(self.cells)))
        rates = {"device": self.device, "gflops_per_second": dict(self.rates)}
        return {"cells": cells, "tables": groups, "total": total, "measured": rates}

    def _estimate(self, estimate: Estimate) -> dict[str, Any]:
        return {
            "samples": estimate.samples,
            "attempts": estimate.attempts,
            "iterations": estimate.iterations,
            "gflops_per_iteration": estimate.gflops,
            "gflops": estimate.total_gflops,
            "seconds": self.seconds(estimate),
            "same_as": describe(estimate.same_as) if estimate.same_as else None,
        }


def preview(
    cells: Sequence[Cell],
    missing: frozenset[Cell],
    sizes: Mapping[tuple[str, str], int],
    *,
    data_root: str | None = None,
    accelerator: str = "auto",
) -> Preview:
    """Return the estimated cost of cells.

    Args:
        cells: The cells.
        missing: Cells that cannot run here; they are estimated too.
        sizes: As for `estimates`.
        data_root: As for `run_cells`.
        accelerator: As for `run_cells`.
    """
    counted: dict[tuple[str, str], float] = {}
    for cell in cells:
        key = (cell.victim.name, cell.data.name)
        if (
            key not in counted
            and inputs_of(cell.attack.name).voxels
            and point_pass(cell.victim.name, cell.attack.eps, soft=False) is None
        ):
            gflops = None if cell in missing else counted_pass(_sample_of(cell), data_root)
            counted |= {} if gflops is None else {key: gflops}
    work = estimates(cells, sizes, counted)
    gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    kinds = dict.fromkeys(estimate.kind for estimate in work if estimate.total_gflops)
    rates = {kind: gflops_per_second(kind, device) for kind in kinds}
    return Preview(cells, work, missing, rates, torch.cuda.get_device_name(device) if gpu else "cpu")


def _sample_of(cell: Cell) -> Cell:
    """Return a cell that is the same for all cells of one victim and data set, so that one pass is counted for them."""
    return Cell(
        VictimSpec(cell.victim.name, kwargs=cell.victim.kwargs),
        DataSpec(cell.data.name, cell.data.subset),
        AttackSpec("pointbim", eps=0.0),
        GradientSpec(NO_GRADIENT),
    )
