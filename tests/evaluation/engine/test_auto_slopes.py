"""Cells whose slopes are measured: on the same samples whatever the batches are, and the record tells them."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hand_made import altered, flat_cell
from judged import DYNCONV, judged_cell, write_judged

from datamodules import load_datamodule
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.evaluation.engine.preflight import N_SAMPLES
from lgm_bench.evaluation.engine.runner import run_cells
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.leaded import automatic_slopes
from lgm_bench.leaded.slopes import MANY_STEPS, ONE_STEP
from victims import load_victim

N = N_SAMPLES + 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_judged(tmp_path_factory.mktemp("data"), DYNCONV, N)


def ran(cell: Cell, out: Path, root: Path, **options: Any) -> tuple[CellResult, list[dict[str, Any]]]:
    results = run_cells([cell], out, data_root=root, **{"batch_size": 4, "accelerator": "cpu"} | options)
    for _, error in results.failures:
        raise error
    (result,), (path,) = results, out.glob("*/rows.parquet")
    return result, pq.read_table(path).to_pylist()


def auto(**changes: Any) -> Cell:
    return altered(judged_cell(DYNCONV), gradient="lgm", slope="auto", **changes)


@pytest.mark.parametrize(("attack", "steps", "constant"), [("fgsm", 1, ONE_STEP), ("bim", 3, MANY_STEPS)])
def test_slopes_are_measured_on_the_first_samples_however_they_are_batched(
    attack: str, steps: int, constant: float, root: Path, tmp_path: Path
) -> None:
    cell = auto(attack=attack, steps=steps)
    results = [ran(cell, tmp_path / str(size), root, batch_size=size) for size in (1, 4, N)]
    for result, rows in results:
        assert result.cell.gradient.slope == "auto"
        assert result.slopes == results[0][0].slopes
        assert [row["correct"] for row in rows] == [row["correct"] for row in results[0][1]]
    data = load_datamodule(cell.data.name, data_root=root, batch_size=N_SAMPLES)
    data.setup("test")
    first = next(iter(data.test_dataloader())).images
    assert results[0][0].slopes == automatic_slopes(load_victim(DYNCONV, "random"), first, constant)


def test_other_slopes_are_in_no_record(root: Path, tmp_path: Path) -> None:
    assert ran(altered(auto(), slope=2.0), tmp_path / "lgm", root)[0].slopes is None
    assert ran(altered(judged_cell(DYNCONV), gradient="fgm", slope=None), tmp_path / "fgm", root)[0].slopes is None


def test_auto_may_be_asked_for_where_a_slope_was_released() -> None:
    asked = flat_cell("skipnet110-cifar10", "cifar10", "fgsm", "lgm", 2.0, slope="auto")
    assert (resolved(asked).gradient.slope, asked.gradient.slope_text) == ("auto", "auto")
    with pytest.raises(ConfigError, match="slope must be a positive number or 'auto', got 'steep'"):
        resolved(flat_cell("skipnet110-cifar10", "cifar10", "fgsm", "lgm", 2.0, slope="steep"))
