import io
from pathlib import Path

import pytest
from hand_made import ONE, cell, result

from lgm_bench.cli.output import PlainConsole
from lgm_bench.cli.session import Session, results_as_json
from lgm_bench.cli.views.gaps import cell_names
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.schema import RunOptions
from lgm_bench.evaluation.cells.suites import Planned
from lgm_bench.evaluation.engine.runner import RunResults

TINY = "tiny_cifar10:TinyCIFAR10"


def session(out: Path, **options: str) -> tuple[Session, io.StringIO]:
    stream = io.StringIO()
    return Session(RunOptions(out=str(out), **options), console=PlainConsole(file=stream, width=200)), stream


def results(*cells: object) -> RunResults:
    found = RunResults()
    found.extend(cells)  # type: ignore[arg-type]
    return found


def test_every_cell_that_was_run_is_in_the_tables_once(tmp_path: Path) -> None:
    here, _ = session(tmp_path)
    normal, other = (0.5, 0.5, 0.5), (0.4, 0.4, 0.4)
    plain, shifted = result(cell(mean=normal)), result(cell(mean=other), accuracy=0.75, fingerprint="f" * 16)
    ran = results(plain, shifted, plain)
    ran.by_cell = {cell(): plain, cell(mean=other): shifted, cell(step=1.0): plain}  # the last is the first in full
    merged, _, _, unfinished = here.merged(ran, [Planned(one) for one in ran.by_cell])
    assert [one.left for one in merged] == [0.25, 0.75]
    assert unfinished == []


def test_one_missing_thing_is_the_error_itself(tmp_path: Path) -> None:
    here, stream = session(tmp_path, data_root=str(tmp_path))
    with pytest.raises(ConfigError, match="no CIFAR-10 in"):
        here.run([Planned(cell(data=TINY, checkpoint="random"))])
    assert stream.getvalue() == ""


def test_several_are_listed_first(tmp_path: Path) -> None:
    here, stream = session(tmp_path, data_root=str(tmp_path))
    with pytest.raises(ConfigError, match="each one lacks data or weights"):
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
    assert cell_names([ONE]) == "dynconv8-cifar10 fgsm eps 1 (2/255) FGM"
    assert cell_names([ONE] * 5).endswith("; and 2 more")


def test_json_names_the_failures() -> None:
    found = results(result())
    found.failures.append((ONE, ValueError("why")))
    plain = results_as_json(found)
    assert plain["failures"] == [{"cell": "dynconv8-cifar10 fgsm eps 1 (2/255) FGM", "error": "ValueError: why"}]
    assert plain["results"][0]["metrics"]["accuracy"] == 0.25
