"""The codes that commands leave with: 0 all is well (see test_run), 2 what was asked for, 3 a cell, 141 no reader."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from answers import Command

GOOD = "{victims: resnet8-mini, attacks: fgsm, eps: 6/255, limit: 4}"
BROKEN = GOOD.replace("resnet8-mini", "{name: 'broken:Broken'}").replace(
    "attacks", "gradients: fgm, data: digits, attacks"
)
NETWORK = "class Broken:\n    def __init__(self):\n        raise RuntimeError('this network cannot be built')\n"


def write(folder: Path, *grids: str) -> None:
    (folder / "my.yaml").write_text(f"run: {{accelerator: cpu}}\nsuites: {{mine: {{grids: [{', '.join(grids)}]}}}}\n")


@pytest.mark.parametrize(
    ("grid", "arguments", "words"),
    [
        (GOOD, ("--suite", "yours"), "unknown suite 'yours'"),
        (GOOD, ("--no-such-option",), "No such option"),
        (GOOD, ("--limit", "0"), "Invalid value for '--limit'"),
        (GOOD, ("--shard", "3/2"), "expected I/N with I from 1 to N"),
        (GOOD, ("--table", "4"), "suite mine has no cell of table 4"),
        (GOOD, ("--accelerator", "abacus"), "unknown accelerator 'abacus'"),
        (GOOD, ("--accelerator", "cuda", "--devices", "99"), "GPUs here, not 99"),
        ("{victims: resnet8-mini}", (), "attacks: missing"),
        ("", (), "mine: no cells in it"),
        (
            "{victims: resnet110-cifar10, attacks: fgsm, eps: 6/255}",
            (),
            "no cell can run: each one lacks data or weights",
        ),
    ],
)
def test_2_for_what_makes_no_sense_or_is_not_there(
    tmp_path: Path, lgm_bench: Command, grid: str, arguments: tuple[str, ...], words: str
) -> None:
    write(tmp_path, grid)
    answer = lgm_bench("run", "my.yaml", *arguments)
    assert answer.code == 2
    assert words in answer.err


def test_3_for_a_cell_that_fails_while_others_go_on(tmp_path: Path) -> None:
    """In a process of its own, as a shell sees it."""
    write(tmp_path, BROKEN, GOOD)
    (tmp_path / "broken.py").write_text(NETWORK)
    command = [sys.executable, "-m", "lgm_bench", "run", "my.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "failed: broken:Broken fgsm eps 6/255 FGM: RuntimeError: this network cannot be built (" in done.stderr
    assert "1 of 2 cells are not finished yet" in done.stdout
    assert "resnet8-mini" in done.stdout


@pytest.mark.parametrize("command", [["ls", "suites"], ["run", "my.yaml", "--quiet"]])
def test_141_where_what_reads_the_output_has_gone(tmp_path: Path, command: list[str]) -> None:
    """As behind `| head`: 1 would mean a regression."""
    write(tmp_path, GOOD)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "lgm_bench", *command]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
