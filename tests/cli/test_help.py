import re
import shlex
import subprocess
import sys

import pytest
from answers import Command
from typer.main import get_command

from lgm_bench import __version__
from lgm_bench.cli import app
from lgm_bench.evaluation.cells.config import load_bench

GROUP = get_command(app)
VERBS = (
    "run", "attack", "evaluate", "board", "show", "report", "compare", "train", "search", "ls", "validate", "doctor",
    "import", "data",
)  # fmt: skip
LIGHT = """
import sys, time
from typer.testing import CliRunner
from lgm_bench.cli import app
for arguments in (["--help"], ["run", "--help"], ["ls", "suites"], ["ls"], ["attack", "x"], ["run", "--suite", "x"]):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (0, 2), (arguments, result.output)
    loaded = {"torch", "pytorch_lightning", "torchvision", "pyarrow"} & sys.modules.keys()
    assert not loaded, (arguments, loaded)
print(time.process_time())
"""


def test_every_verb_is_there() -> None:
    assert tuple(GROUP.commands) == VERBS  # type: ignore[attr-defined]


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_every_option_and_examples_that_parse(lgm_bench: Command, verb: str) -> None:
    answer = lgm_bench(verb, "--help")
    assert answer.code == 0
    command = GROUP.commands[verb]  # type: ignore[attr-defined]
    options = [name for parameter in command.params for name in parameter.opts if name.startswith("--")]
    assert [name for name in options if name not in answer.out] == []
    examples = re.findall(r"\[dim\]\$\[/\] lgm-bench (.*)", command.help)
    assert examples
    for example in examples:
        first, *arguments = shlex.split(example)
        assert first == verb
        command.make_context(verb, arguments)


@pytest.mark.parametrize("verb", VERBS)
def test_values_that_examples_set_in_a_file_are_allowed(verb: str) -> None:
    for override in re.findall(r"--set (\S+)", GROUP.commands[verb].help):  # type: ignore[attr-defined]
        load_bench(None, [override])


@pytest.mark.parametrize("verb", VERBS)
def test_options_have_explanations(verb: str) -> None:
    parameters = GROUP.commands[verb].params  # type: ignore[attr-defined]
    assert [p.name for p in parameters if not p.help] == []


def test_nothing_heavy_is_loaded_to_answer_a_question() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 3, "seconds of computing for six answers and all imports"


def test_version(lgm_bench: Command) -> None:
    assert lgm_bench("--version").out == f"lgm-bench {__version__}\n"


def test_without_a_verb_there_is_help(lgm_bench: Command) -> None:
    assert "lgm-bench run" in lgm_bench().out
