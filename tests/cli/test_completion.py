"""Shell completion: in a process of its own as a shell starts it, quick, and without torch."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
sys.argv = ["lgm-bench"]
from lgm_bench.cli.application import main
try:
    main()
finally:
    heavy = {"torch", "pytorch_lightning", "torchvision", "pyarrow"} & sys.modules.keys()
    assert not heavy, heavy
"""
SECONDS = 1.0
"""Of computing; what a user waits for a list of names."""


def completed(*words: str, cwd: Path) -> list[str]:
    shell = {"_LGM_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(["lgm-bench", *words])}
    environment = os.environ | shell | {"COMP_CWORD": str(len(words))}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, env=environment, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < SECONDS
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "--suite", "pa"), ["paper"]),
        (("run", "--suite", "nothing-like-it"), []),
        (("run", "--table", "1"), ["1", "10", "11"]),
        (("run", "--victim", "skipnet110"), ["skipnet110-cifar10"]),
        (("attack", "dynconv32"), ["dynconv32-cifar10"]),
        (("attack", "x", "--attack", "point"), ["pointbim", "pointpert"]),
        (("attack", "x", "--data", "cif"), ["cifar10"]),
        (("val",), ["validate"]),
    ],
)
def test_names_are_completed(tmp_path: Path, words: tuple[str, ...], expected: list[str]) -> None:
    assert completed(*words, cwd=tmp_path) == expected


def test_suites_are_those_of_the_file_on_the_line(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("suites: {first: {grids: []}, second: {grids: []}}")
    assert completed("run", "my.yaml", "--suite", "", cwd=tmp_path) == ["first", "second"]
    (tmp_path / "my.yaml").write_text("suites: [")
    assert completed("run", "my.yaml", "--suite", "", cwd=tmp_path) == []


def test_help_comes_at_once(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-m", "lgm_bench", "run", "--help"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0
    assert "--shard" in done.stdout
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < SECONDS


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_can_be_installed(tmp_path: Path, shell: str) -> None:
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    command = [sys.executable, "-m", "lgm_bench", "--install-completion", shell]
    environment = os.environ | home | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_LGM_BENCH_COMPLETE" in path.read_text() for path in written)
