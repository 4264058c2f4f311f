"""Finding what is finished in a results folder: each cell's own result, and no other's."""

from pathlib import Path

import pytest
from hand_made import altered
from judged import SKIPNET, judged_cell, write_judged

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.finished import finished_results
from lgm_bench.evaluation.engine.runner import RunResults, run_cells

PLAIN = judged_cell(SKIPNET, limit=3)
SHIFTED = altered(PLAIN, mean=(0.4, 0.4, 0.4))
THE_SAME = altered(PLAIN, step=4.0, steps=1)
"""As `PLAIN` is with its defaults filled in."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_judged(tmp_path_factory.mktemp("data"), SKIPNET, 3)


def run(root: Path, cells: list[Cell], out: Path) -> RunResults:
    results = run_cells(cells, out, data_root=root, accelerator="cpu")
    assert not results.failures
    return results


def test_every_cell_that_was_asked_for_has_its_own_result(root: Path, tmp_path: Path) -> None:
    cells = [PLAIN, SHIFTED, THE_SAME]
    results = run(root, cells, tmp_path)
    for known in (results.by_cell, {SHIFTED: results.by_cell[SHIFTED]}, None):
        found = finished_results(cells, tmp_path, known=known, data_root=root)
        assert list(found) == cells
        assert [result.fingerprint for result in found.values()] == [result.fingerprint for result in results]
    assert results[0].fingerprint == results[2].fingerprint != results[1].fingerprint


def test_a_record_of_another_normalization_is_not_the_plain_cell_s(root: Path, tmp_path: Path) -> None:
    run(root, [SHIFTED], tmp_path)
    assert list(finished_results([PLAIN, SHIFTED], tmp_path, data_root=root)) == [SHIFTED]


def test_a_result_stands_where_the_cell_that_was_asked_for_does(root: Path, tmp_path: Path) -> None:
    run(root, [PLAIN], tmp_path)
    places = [altered(PLAIN, paper=(table, "eps=4", "x", "fgm")) for table in ("table_1", "table_2")]
    found = finished_results(places, tmp_path, data_root=root)
    assert [result.cell.paper for result in found.values()] == [place.paper for place in places]
