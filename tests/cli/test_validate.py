import tempfile
from pathlib import Path

import pytest
from answers import Command


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_every_cell_is_run_and_nothing_kept(lgm_bench: Command, tiny_bench: Path, temporary: Path) -> None:
    more = (
        "--set",
        "suites.tiny.grids.0.eps=[2/255, 4/255, 8/255]",
        "--set",
        "suites.tiny.grids.0.attacks=[fgsm, bim]",
    )
    slopes = ("--set", "suites.tiny.grids.0.victims.0.slopes={fgsm: 1, bim: 1}")
    before = sorted(Path.cwd().iterdir())
    answer = lgm_bench("validate", tiny_bench, *more, *slopes)
    assert answer.code == 0, answer.err
    assert answer.out == "24 cells, 24 ok, 0 failed, 0 missing\n"
    assert "accuracy" not in answer.err, "two samples give no figure"
    assert answer.err.count("[1/8]") == 1, "cells that differ in eps and slope alone are run once"
    assert sorted(Path.cwd().iterdir()) == before
    assert list(temporary.iterdir()) == []


def test_a_cell_that_fails(lgm_bench: Command, tiny_bench: Path) -> None:
    broken = "suites.tiny.grids.0.victims.0.name=tiny_networks:Broken"
    answer = lgm_bench("validate", tiny_bench, "--set", broken, "--quiet")
    assert answer.code == 3
    assert answer.out == "4 cells, 2 ok, 2 failed, 0 missing\n"
    assert "failed: tiny_networks:Broken fgsm eps 2/255 FGM: victim 'tiny_networks:Broken' cannot take" in answer.err
    assert "ValueError: no weights for torch.float32 on cpu (" in answer.err


def test_what_is_missing(lgm_bench: Command, tiny_bench: Path) -> None:
    missing = ("--set", "suites.tiny.grids.0.victims.0=resnet32-cifar10")
    answer = lgm_bench("validate", tiny_bench, *missing, "--json")
    assert answer.code == 2
    assert answer.json == {"cells": 3, "ok": 2, "failed": 0, "missing": 1}
    optional = ("--set", "suites.tiny.grids.0.if_available=resnet32-cifar10")
    assert lgm_bench("validate", tiny_bench, *optional).code == 0
