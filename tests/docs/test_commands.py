"""Every command of the documentation runs, cut to seconds (`tiny`), and every option in it is there."""

import os
import runpy
import shlex
from pathlib import Path

import pytest
import tiny
from documented import PAGES, ROOT, VERBS, Command, blocks, commands, inline_commands, inline_options
from typer.testing import CliRunner

from lgm_bench.cli import app

ALL = list({command.text: command for page in PAGES for command in commands(page)}.values())
OPTIONS = {
    name
    for verb in VERBS.values()
    for parameter in verb.params
    for name in (*parameter.opts, *parameter.secondary_opts)
}
OF_OTHERS = {"--nproc-per-node", "--ntasks-per-node"}
"""Options of torchrun and SLURM in sentences."""


def test_there_are_commands() -> None:
    assert len(ALL) > 40
    missing = set(VERBS) - {command.verb for command in ALL}
    assert not missing, f"show a command of each of {sorted(missing)} in a code block of a page"


@pytest.mark.parametrize("command", ALL, ids=lambda command: f"{command.place} {command.text}")
def test_command(command: Command, at_home: Path) -> None:
    if command.verb == "python":
        run_script(command, at_home)
        return
    parsed(command)
    if command.text.startswith("torchrun"):
        return  # processes of torchrun are tested in tests/evaluation/engine
    words = [as_the_shell_has_it(word) for word in tiny.cut(command)]
    result = CliRunner().invoke(app, words, prog_name="lgm-bench")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    code, text = tiny.expected(command)
    said = " ".join((result.stdout + result.stderr).split())
    assert result.exit_code == code, f"lgm-bench {shlex.join(words)}\n{result.stdout}\n{result.stderr}"
    assert text in said


def as_the_shell_has_it(word: str) -> str:
    word = os.path.expandvars(word)
    return str(Path(word).expanduser()) if word.startswith("~") else word


def run_script(command: Command, folder: Path) -> None:
    """Run a script that a page shows; one of the repository has to be there."""
    name = command.words[1]
    if (folder / name).is_file():
        runpy.run_path(str(folder / name), run_name="__main__")
    else:
        assert (ROOT / name).is_file(), command


def parsed(command: Command) -> None:
    """Raise unless the verb is there and takes the words as the page has them."""
    if command.verb.startswith("-"):
        return
    verb = VERBS[command.verb]
    verb.make_context(command.verb, [as_the_shell_has_it(word) for word in command.words[1:]])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_sentences_are_there(page: Path) -> None:
    unknown = [(place, name) for place, name in inline_options(page) if name not in OPTIONS | OF_OTHERS]
    assert unknown == []
    for command in inline_commands(page):
        assert command.verb in VERBS, command


def test_a_page_that_names_an_option_that_is_not_there_is_found_out() -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed(Command("x.md:1", "", ["run", "--suite", "mini", "--no-such-option"]))


def test_targets_of_make() -> None:
    targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ": " in line}
    lines = [line for page in PAGES for block in blocks(page) for line in block.lines]
    called = {line.split()[1] for line in lines if line.startswith("make ")}
    assert called
    assert called <= targets
