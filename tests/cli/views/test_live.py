import io
import re
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from hand_made import ONE, cell, result, tally

from lgm_bench.cli.output import PlainConsole
from lgm_bench.cli.views import live
from lgm_bench.cli.views.live import LiveView, PlainView, view


def console(terminal: bool) -> tuple[PlainConsole, io.StringIO]:
    stream = io.StringIO()
    return PlainConsole(
        file=stream, force_terminal=terminal, width=100, color_system=None, legacy_windows=False
    ), stream


SLOW = cell(attack="bim", gradient="lgm", slope=10.0)
CELLS = [ONE, cell(eps=2.0), SLOW]


def a_run(seen: Any) -> None:
    """What `run_cells` tells of three cells: one computed after a resume, one stored, one that fails."""
    seen.cell_started(ONE, 3, 100, 40)
    seen.batch_done(ONE, 70, tally(1, 2))
    seen.batch_done(ONE, 100, tally(1, 4))
    seen.cell_finished(result(), from_store=False)
    seen.cell_started(cell(eps=2.0), 3, 100, 100)
    seen.cell_finished(result(cell(eps=2.0), change=None), from_store=True)
    seen.cell_started(SLOW, 3, 100, 0)
    seen.iteration(SLOW, 5, 20, 30)
    seen.cell_failed(SLOW, ValueError("no gradient [here]"))


def test_lines_say_what_happened() -> None:
    where, stream = console(terminal=False)
    with view(where, CELLS, quiet=False) as seen:
        assert type(seen) is PlainView
        a_run(seen)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "[1/3] dynconv8-cifar10 fgsm eps 1 (2/255) FGM: 100 samples, 40 of them done before"
    assert re.fullmatch(
        r"dynconv8-cifar10 fgsm eps 1 \(2/255\) FGM: clean accuracy 80.00%  accuracy 25.00%  success rate 68.75%  "
        r"architecture change 12.50%  \(0:0\d\)",
        lines[1],
    )
    assert lines[3].endswith("(from the results folder, 2026-01-02 03:04)")
    assert "architecture" not in lines[3]
    assert lines[4].startswith("[3/3] ")
    assert lines[5] == "FAILED dynconv8-cifar10 bim eps 1 (2/255) LGM slope 10: ValueError: no gradient [here]"
    assert "\x1b" not in stream.getvalue()


def test_an_arm_is_shown_against_its_baseline() -> None:
    where, stream = console(terminal=False)
    arms = [cell(gradient=name, slope=None if name == "fgm" else 1.0) for name in ("fgm", "lgm", "soft")]
    with view(where, arms, quiet=False) as seen:
        for arm, baseline, left in zip(arms, (None, "fgm", "fgm"), (0.5, 0.2, 0.6), strict=True):
            arm = replace(arm, baseline=baseline)
            seen.cell_started(arm, 3, 100, 0)
            seen.cell_finished(result(arm, accuracy=left), from_store=False)
    fgm, lgm, soft = (line for line in stream.getvalue().splitlines() if "clean accuracy" in line)
    assert "against" not in fgm
    assert lgm.endswith("  accuracy -30.00 against FGM")
    assert soft.endswith("  accuracy +10.00 against FGM")


def test_long_cells_give_a_line_now_and_then(monkeypatch: Any) -> None:
    monkeypatch.setattr(live, "SECONDS_BETWEEN_LINES", 0.05)
    where, stream = console(terminal=False)
    with view(where, CELLS[:2], quiet=False) as seen:
        seen.cell_started(ONE, 2, 1000, 900)
        time.sleep(0.1)
        seen.batch_done(ONE, 901, tally(1, 2))
        seen.batch_done(ONE, 902, tally(0, 0))
    assert re.findall(
        r"901/1000 samples, accuracy 50.00% so far, \S+ left of this cell, about \S+ of the run", stream.getvalue()
    )
    assert "902/1000" not in stream.getvalue()


def test_a_terminal_gets_bars_and_the_same_lines() -> None:
    where, stream = console(terminal=True)
    slow = cell(attack="bim")
    with view(where, [slow, *CELLS], quiet=False) as seen:
        assert isinstance(seen, LiveView)
        seen.cell_started(slow, 2, 100, 0)
        seen.batch_done(slow, 30, tally(1, 2))
        seen.iteration(slow, 5, 20, 30)
        seen.progress.refresh()
        a_run(seen)
    text = stream.getvalue()
    assert "step 5/20" in text
    assert "dynconv8-cifar10 bim eps 1 (2/255) FGM" in text
    assert re.search(r"37/100", text), "a quarter of a batch of 30 counts as 7 images"
    assert "accuracy 50.00%" in text
    assert "accuracy 80.00% → 25.00%" in text
    assert "FAILED dynconv8-cifar10 bim" in text


def test_the_last_batch_is_not_counted_beyond_the_end() -> None:
    where, _ = console(terminal=True)
    with view(where, [ONE], quiet=False) as seen:
        assert isinstance(seen, LiveView)
        seen.cell_started(ONE, 1, 100, 90)
        seen.iteration(ONE, 20, 20, 10)
        assert seen.progress.tasks[seen.samples].completed == 100


def test_quiet_shows_nothing() -> None:
    where, stream = console(terminal=True)
    shown: AbstractContextManager[Any] = view(where, CELLS, quiet=True)
    with shown as seen:
        a_run(seen)
    assert stream.getvalue() == ""
