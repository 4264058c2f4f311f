import io
from pathlib import Path

import pytest
from hand_made import ONE, cell, result
from rich.console import Console

from lgm_bench.bench.cells.schema import RunOptions
from lgm_bench.bench.cells.suites import Planned
from lgm_bench.bench.display.gaps import cell_names
from lgm_bench.bench.running.runner import RunResults
from lgm_bench.bench.session import Session, as_json
from lgm_bench.errors import ConfigError, ResultError

TINY = "tiny_cifar10:TinyCIFAR10"


def session(out: Path, **options: str) -> tuple[Session, io.StringIO]:
    stream = io.StringIO()
    return Session(RunOptions(out=str(out), **options), console=Console(file=stream, width=200)), stream


def results(*cells: object) -> RunResults:
    found = RunResults()
    found.extend(cells)  # type: ignore[arg-type]
    return found


def test_tables_are_written_beside_each_other_and_limited_ones_apart(tmp_path: Path) -> None:
    here, _ = session(tmp_path)
    here.write(results(result()))
    here.write(results(result(cell(limit=5)), result(cell(limit=5, eps=2.0, paper=("table_1", "eps=2", "x", "fgm")))))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        *("results-cifar10.md", "results-cifar10.tex", "results.csv", "results-limit5.csv"),
        *("results-cifar10-limit5.md", "results-cifar10-limit5.tex", "table_1-limit5.md", "table_1-limit5.tex"),
    }


def test_a_table_is_called_the_same_before_all_its_cells_are_there(tmp_path: Path) -> None:
    here, _ = session(tmp_path)
    cells = [cell(), cell(limit=5), cell(limit=7, data="imagenet")]
    here.write([result()], cells)
    first = {path.name for path in tmp_path.iterdir()}
    assert first == {"results-cifar10-limit5.md", "results-cifar10-limit5.tex", "results-limit5-limit7.csv"}
    here.write([result(), result(cells[1])], cells)
    assert {path.name for path in tmp_path.iterdir()} == first


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    here, _ = session(tmp_path / "new" / "folder")
    assert here.save("a.md", "first").read_text() == "first"
    assert here.save("a.md", "second").read_text() == "second"
    (tmp_path / "new" / "folder" / "b.md").mkdir()
    with pytest.raises(
        ResultError, match=r"cannot write .*b\.md: .*; free some space or choose another folder with --out"
    ):
        here.save("b.md", "text")
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {"a.md", "b.md"}


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    here, _ = session(tmp_path / "out")
    with pytest.raises(ResultError, match="cannot write"):
        here.save("a.md", "text")


def test_one_missing_thing_is_the_error_itself(tmp_path: Path) -> None:
    here, stream = session(tmp_path, data_root=str(tmp_path))
    with pytest.raises(ConfigError, match="no CIFAR-10 in"):
        here.run([Planned(cell(data=TINY, checkpoint="random"))])
    assert stream.getvalue() == ""


def test_several_are_listed_first(tmp_path: Path) -> None:
    here, stream = session(tmp_path, data_root=str(tmp_path))
    with pytest.raises(ConfigError, match="everything lacks something"):
        here.run([Planned(cell(data=TINY, checkpoint=str(tmp_path / "none.pth")))])
    assert stream.getvalue().count("missing ") == 2


def test_quiet_keeps_to_itself_what_may_be_left_out(tmp_path: Path) -> None:
    here, stream = session(tmp_path, data_root=str(tmp_path))
    here.quiet = True
    optional, required = (Planned(cell(data=TINY, checkpoint="random", eps=eps), eps == 1.0) for eps in (1.0, 2.0))
    assert [gap.optional for gap in here.gaps([optional])] == [True]
    assert stream.getvalue() == ""
    assert [gap.optional for gap in here.gaps([optional, required])] == [False]
    assert "cannot run" in stream.getvalue()


def test_many_cells_are_named_shortly() -> None:
    assert cell_names([ONE]) == "dynconv8-cifar10 fgsm eps 1 FGM"
    assert cell_names([ONE] * 5).endswith("; and 2 more")


def test_json_names_the_failures() -> None:
    found = results(result())
    found.failures.append((ONE, ValueError("why")))
    plain = as_json(found)
    assert plain["failures"] == [{"cell": "dynconv8-cifar10 fgsm eps 1 FGM", "error": "why"}]
    assert plain["results"][0]["accuracy"] == 0.25
