"""Names from outside are printed as they are, wherever they stand in a table."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from finished_cells import finished, image_rows, scene_rows
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lgm_bench.cli.output import Aligned, PlainConsole, show
from lgm_bench.cli.views.one_result import full_result, results_table
from lgm_bench.cli.views.row_tables import rows_table
from lgm_bench.results.formats import to_markdown, to_rich
from lgm_bench.results.frame import frame_of
from lgm_bench.results.leaderboard.comparing import CellCompared, as_table
from lgm_bench.results.reading import read_results
from lgm_bench.results.tables import build_tables

NAMES = ["[unlabelled]", "[bold]wall", "[/close]", ":smile:", "a|b", "<img src=x>"]


def printed(renderable: RenderableType) -> str:
    console = PlainConsole(file=io.StringIO(), width=400, force_terminal=False)
    console.print(renderable)
    return console.file.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_in_every_view(tmp_path: Path, name: str) -> None:
    scenes = scene_rows(np.ones((2, 1, 1), int))
    finished(tmp_path, "aa", image_rows([True, False]), {"victim": name, "data": name})
    finished(tmp_path, "bb", scenes, {"victim": name, "data": "other", "eps": 2.0})
    found = read_results(tmp_path)
    ids = scenes.set_column(0, scenes.schema.field("id"), [[name, "x"]])
    views = [results_table(found), rows_table(ids), as_table([CellCompared(found[0].result.cell, ("missing",))], name)]
    views += [full_result(one, one.rows()) for one in found]
    views += [to_rich(table) for table in build_tables(frame_of(one.result for one in found))]
    for view in views:
        assert name in printed(view)


@pytest.mark.parametrize("of", [str, Text])
def test_terminals_get_no_commands_from_outside(of: type) -> None:
    table = Table(title=of("\x1b]0;title\x07"))
    table.add_column(of("\x1b[2J"))
    table.add_row(of("\x9b31mred\r\u202etxt"))
    text = printed(table)
    assert not set(text) & set("\x1b\x07\x9b\r\u202e")
    assert r"\x9b31m" in text


def test_words_and_addresses_stay_whole_on_a_narrow_terminal() -> None:
    address = "https://example.org/" + "a" * 80
    what = f"no published file known; get it from {address} and import it-by-hand"
    stream = io.StringIO()
    rows = [("yes", "cifar10", "here"), ("-", "imagenet", what)]
    PlainConsole(file=stream, width=60).print(Aligned(rows, ["", "dim"], ("ready", "name", "place")), crop=False)
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["ready  name      place", "yes    cifar10   here"]
    assert " ".join(" ".join(lines[2:]).split()) == f"- imagenet {what}"
    assert [line for line in lines if len(line) > 60] == [" " * 17 + address]


def test_colours_of_our_own_still_reach_a_terminal() -> None:
    stream = io.StringIO()
    PlainConsole(file=stream, force_terminal=True, color_system="standard").print(Text("ours", style="red"))
    assert stream.getvalue() == "\x1b[31mours\x1b[0m\n"


def test_show_prints_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show("[bold]wall \x1b[31m")
    assert capsys.readouterr().out == "[bold]wall \\x1b[31m\n"


def test_markdown_keeps_names_as_text(tmp_path: Path) -> None:
    finished(tmp_path, "aa", image_rows([True]), {"victim": "<img src=x>|[a](b) *c* my_net", "data": "`x`"})
    (table,) = build_tables(frame_of(one.result for one in read_results(tmp_path)))
    text = to_markdown(table)
    assert r"&lt;img src=x>\|\[a](b) \*c\* my_net<br>FGM Acc." in text
    assert r"**\`x\`: Accuracy before" in text


def test_warnings_name_files_as_text(tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[31mred-aa"
    folder.mkdir()
    (folder / "result.json").write_text("{")
    command = [sys.executable, "-m", "lgm_bench", "show", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert r"\x1b[31mred-aa" in answer.stderr
    assert "\x1b" not in answer.stderr
