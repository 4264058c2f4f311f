"""The files in leaderboard/ are of the suites that they are named after."""

from pathlib import Path

import pytest
from hand_made import altered

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.results.leaderboard.board import identity, read_leaderboard, shipped_leaderboards, write_leaderboard


@pytest.mark.parametrize("suite", list(shipped_leaderboards()) or [pytest.param("", marks=pytest.mark.skip("none"))])
def test_cells_are_the_suites(suite: str, tmp_path: Path) -> None:
    path = shipped_leaderboards()[suite]
    board = read_leaderboard(path)
    planned = plan(load_bench(), [suite])
    expected = {_plain(entry.cell) for entry in board.cells}
    assert board.suite == suite
    assert expected <= {_plain(identity(resolved(one.cell))) for one in planned}
    assert expected >= {_plain(identity(resolved(one.cell))) for one in planned if not one.optional}
    write_leaderboard(tmp_path / "again.json", board)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    assert not [entry.git_commit for entry in board.cells if (entry.git_commit or "-dirty").endswith("-dirty")]


def _plain(cell: Cell) -> Cell:
    """What the suite says; the normalization is the victim's."""
    return altered(cell, mean=None, std=None)
