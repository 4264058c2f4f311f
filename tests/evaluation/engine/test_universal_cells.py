"""Cells of universal perturbations: the change is learned once, kept, and the same however a run goes on."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hand_made import altered, flat_cell

from lgm_bench.attacks.universal import Universal
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.runner import run_cells
from lgm_bench.evaluation.store.samples import CHANGE

CELL = altered(
    flat_cell("dynconv8-mini", "digits", "universal", "lgm", 16 / 255, slope=10.0, limit=20, steps=4, step=4 / 255),
    protocol="standard",
)


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Universal, "images", 30)
    monkeypatch.setattr(Universal, "at_once", 10)


def ran(out: Path, cell: Cell = CELL, **options: object) -> tuple[list[dict[str, object]], np.ndarray, str]:
    results = run_cells([cell], out, accelerator="cpu", **options)
    for _, error in results.failures:
        raise error
    (rows,), (change,) = out.glob("*/rows.parquet"), out.glob(f"*/{CHANGE}")
    return pq.read_table(rows).to_pylist(), np.load(change), results[0].fingerprint


def values(rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(row["id"], row["adversarial_prediction"], row["correct"]) for row in rows]


def test_the_change_is_kept_and_does_not_depend_on_the_batches(tmp_path: Path) -> None:
    rows, change, fingerprint = ran(tmp_path / "whole", batch_size=20)
    assert change.shape == (3, 32, 32)
    again = ran(tmp_path / "small", batch_size=3)
    assert values(again[0]) == values(rows)
    assert np.array_equal(again[1], change)
    assert again[2] == fingerprint


def test_two_processes_share_one_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them learns it, with all held-out images; both attack with it."""
    monkeypatch.undo()  # new processes learn on as many images as are usual
    alone, shared = ran(tmp_path / "1", batch_size=3), ran(tmp_path / "2", batch_size=3, devices=2)
    assert values(shared[0]) == values(alone[0])
    assert len(shared[0]) == 20
    assert np.array_equal(shared[1], alone[1])
    assert shared[2] == alone[2]


def test_a_resumed_run_takes_the_kept_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran(tmp_path, batch_size=20)
    (folder,) = tmp_path.iterdir() if not (tmp_path / "failures.log").exists() else ()
    for name in ("result.json", "rows.parquet"):
        (folder / name).unlink()
    kept = np.full((3, 32, 32), 0.01, np.float32)
    np.save(folder / CHANGE, kept)
    monkeypatch.setattr(Universal, "learned", None)
    assert np.array_equal(ran(tmp_path)[1], kept)


def test_held_out_images_are_part_of_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ran(tmp_path / "first")[2]
    monkeypatch.setattr(Universal, "images", 20)
    assert ran(tmp_path / "second")[2] != first


def test_the_images_that_it_learns_on_are_not_attacked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="universal learns on the held-out samples"):
        ran(tmp_path, altered(CELL, subset="holdout"))
