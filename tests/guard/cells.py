"""The guard's cells: running them, and reading the rows of finished ones. All that the guard knows of the product.

`python tests/guard/cells.py FOLDER` runs them, each suite into a folder of its own in FOLDER.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from lgm_bench.attacks.autoattack import AutoAttack
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.kinds import inputs_of
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.cells.units import OFFICIAL
from lgm_bench.evaluation.engine.materials import Materials
from lgm_bench.evaluation.engine.runner import run_cells
from lgm_bench.results.reading import read_results
from lgm_bench.tasks.inputs import PAPER_UNIT

GUARD = Path(__file__).with_name("guard.yaml")
OPTIONS: dict[str, dict[str, Any]] = {"bim-two-processes": {"devices": 2}, "bim-double-precision": {"precision": "64"}}
"""By suite, options of a run that are not a cell's."""
RECORDED_AS = {"none": "fgm", "straight-through": "lgm"}
"""Gradients that had another name, or none of their own, when the rows were recorded."""
QUERIES = 60
"""Of Square within AutoAttack, in place of the 5,000 that no benchmark file can change."""


def key_of(suite: str, cell: Cell) -> str:
    """Return the name under which the rows of a suite's cell are recorded.

    The sigmoid is not named: it is the relation of point clouds where a cell names none. The eps of images is in the
    unit that cells had when the rows were recorded: 1/255 where the protocol is standard, which was called paper, but
    2/255 in the suite mini, which was of the protocol official.
    """
    relation = "" if cell.gradient.relation in (None, "sigmoid") else cell.gradient.relation
    attack, gradient = cell.attack, RECORDED_AS.get(cell.gradient.name, cell.gradient.name)
    eps = attack.eps
    if cell.protocol != OFFICIAL and not inputs_of(attack.name).voxels:
        eps /= PAPER_UNIT if suite == "mini" else 1 / 255
    return " | ".join((suite, cell.victim.name, attack.name, f"{eps:g}", gradient, relation)).strip()


def guarded_suites() -> list[str]:
    """Return the names of the suites of guard.yaml."""
    return list(load_bench(GUARD).suites)


def run_suite(suite: str, out: Path) -> None:
    """Run one suite of guard.yaml into a results folder, which has to have the suite's name to be read later."""
    cells = [planned.cell for planned in plan(load_bench(GUARD), [suite])]
    with _options_of_code(suite):
        results = run_cells(cells, out, accelerator="cpu", **OPTIONS.get(suite, {}))
    if results.failures:
        failed, error = results.failures[0]
        raise RuntimeError(f"{key_of(suite, failed)} failed: {error}") from error


def run_guard(out: Path) -> list[Path]:
    """Run every suite of guard.yaml; return their results folders."""
    folders = [out / suite for suite in guarded_suites()]
    for folder in folders:
        run_suite(folder.name, folder)
    return folders


def rows_of(folder: Path) -> Iterator[tuple[str, pa.Table]]:
    """Yield key and rows of every finished cell of a results folder that is named for its suite."""
    for finished in read_results(folder):
        yield key_of(folder.name, finished.result.cell), finished.rows()


@contextmanager
def _options_of_code(suite: str) -> Iterator[None]:
    """Set, while a suite runs, what only code can choose."""
    with ExitStack() as stack:
        if suite == "bim-unfolded":
            stack.enter_context(patch.object(Materials, "fit", return_value=False))
        stack.enter_context(patch.dict(AutoAttack.__init__.__kwdefaults__, queries=QUERIES))
        yield


if __name__ == "__main__":
    run_guard(Path(sys.argv[1]))
