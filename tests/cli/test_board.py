"""`lgm-bench board` from end to end."""

from pathlib import Path

import pytest
from answers import Command


def test_the_board_that_ships_becomes_a_page(lgm_bench: Command, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    answer = lgm_bench("board", "--out", "pages/mine.html")
    assert answer.code == 0, answer.err
    assert answer.out == "Board: pages/mine.html\n"
    assert "dynconv20_at-cifar10" in (tmp_path / "pages" / "mine.html").read_text(encoding="utf-8")


def test_a_folder_in_place_of_the_page(lgm_bench: Command) -> None:
    pytest.importorskip("plotly")
    for folder in (".", "pages"):
        Path("pages").mkdir(exist_ok=True)
        answer = lgm_bench("board", "--out", folder)
        assert answer.code == 2
        assert f"Is a directory: '{folder}'" in answer.err


def test_a_folder_without_entries(lgm_bench: Command) -> None:
    answer = lgm_bench("board", "nothing")
    assert answer.code == 2
    assert "nothing has no entries" in answer.err
