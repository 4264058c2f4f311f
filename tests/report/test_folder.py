"""Files beside the cells: whole or not at all, and limited ones apart."""

from pathlib import Path

import pytest
from hand_made import cell, result

from lgm_bench.errors import ResultError
from lgm_bench.report.folder import ResultsFolder, save


def test_tables_are_written_beside_each_other_and_limited_ones_apart(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write_tables([result()])
    folder.write_tables([result(cell(limit=5)), result(cell(limit=5, eps=2.0, paper=("table_1", "eps=2", "x", "fgm")))])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        *("results-cifar10.md", "results-cifar10.tex", "results.csv", "results-limit5.csv"),
        *("results-cifar10-limit5.md", "results-cifar10-limit5.tex", "table_1-limit5.md", "table_1-limit5.tex"),
    }


def test_a_table_is_called_the_same_before_all_its_cells_are_there(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    cells = [cell(), cell(limit=5), cell(limit=7, data="imagenet")]
    folder.write_tables([result()], cells)
    first = {path.name for path in tmp_path.iterdir()}
    assert first == {"results-cifar10-limit5.md", "results-cifar10-limit5.tex", "results-limit5-7.csv"}
    folder.write_tables([result(), result(cells[1])], cells)
    assert {path.name for path in tmp_path.iterdir()} == first


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.md"
    for text in ("first", "second"):
        assert save(path, text).read_text() == text
    path.with_name("b.md").mkdir()
    with pytest.raises(
        ResultError, match=r"cannot write .*b\.md: .*; free some space or choose another place with --out"
    ):
        save(path.with_name("b.md"), "text")
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {"a.md", "b.md"}


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ResultError, match="cannot write"):
        save(tmp_path / "out" / "a.md", "text")
