"""The examples run as they are, and show what their texts say."""

import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / name))


def test_every_example_has_a_test() -> None:
    tested = {"early_exit.py", "token_pruning.py", "point_cloud.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


def test_early_exit() -> None:
    results = run("early_exit.py")["main"]()
    accuracy, (second, third) = results["clean"]
    assert accuracy > 0.85
    assert 1 > second > third > 0, "every exit is taken by some images"
    assert all(left < accuracy for name, (left, _) in results.items() if name != "clean")


def test_token_pruning() -> None:
    results = run("token_pruning.py")["main"]()
    accuracy, exchanged = results.pop("clean")
    assert accuracy > 0.5, "trained for a few seconds"
    assert exchanged == 0
    assert all(left < accuracy for left, _ in results.values())
    assert all(0 < share < 1 for _, share in results.values()), "attacks change which tokens are kept"


def test_point_cloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = run("point_cloud.py")["main"](tmp_path / "room.png")
    assert right["lgm"] < right["fgm"] < right["clean"]
    assert (tmp_path / "room.png").read_bytes().startswith(b"\x89PNG")
    moved = [float(line.rpartition("at most ")[2].split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert moved[0] == 0
    assert max(moved) <= 20
