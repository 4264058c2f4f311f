"""Cells and results made by hand, for tests of what is done with them."""

from dataclasses import fields
from typing import Any

from lgm_bench.evaluation.cells.cell import KINDS, AttackSpec, Cell, DataSpec, GradientSpec, VictimSpec
from lgm_bench.evaluation.store.record import ArchitectureRecord, CellResult, ChangeSummary, Checks

PART_OF = {one.name: part for part, kind in KINDS.items() for one in fields(kind)}


def altered(of: Cell, **values: Any) -> Cell:
    """The cell with other values, each by its own name: `altered(cell, victim="resnet8-mini", eps=2.0)`."""
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name in KINDS or name in PART_OF:
            part, key = (name, "name") if name in KINDS else (PART_OF[name], name)
            changes.setdefault(part, {})[key] = value
        else:
            changes[name] = value
    return of.replace(**changes)


def flat_cell(victim: str, data: str, attack: str, gradient: str, eps: float, **others: Any) -> Cell:
    """A cell of plain values."""
    plain = Cell(VictimSpec(victim), DataSpec(data), AttackSpec(attack, eps), GradientSpec(gradient))
    return altered(plain, **others)


ONE = flat_cell("dynconv8-cifar10", "cifar10", "fgsm", "fgm", 1.0)


def cell(**changes: Any) -> Cell:
    """`ONE` with other values."""
    return altered(ONE, **changes)


def result(of: Cell = ONE, accuracy: float = 0.25, change: float | None = 0.125, **others: Any) -> CellResult:
    """A result of a cell; `change` None is a static victim's."""
    summary = change is not None and ChangeSummary(
        n_samples=80, ratio=change, on_to_off=change, off_to_on=0.0, per_unit=(change,)
    )
    architecture = summary and ArchitectureRecord(
        defined_over="attacked", attacked=summary, all_images=None, executed_clean=0.5, executed_adversarial=0.5
    )
    values: dict[str, Any] = {
        "cell": of,
        "fingerprint": "0123456789abcdef",
        "n_samples": 100,
        "n_attempts": 100,
        "n_attacked": 80,
        "clean_accuracy": 0.8,
        "accuracy": accuracy,
        "success_rate": 1 - accuracy / 0.8,
        "architecture": architecture or None,
        "checks": Checks(
            n_samples=8, zero_gradient_share=0.0, deterministic=True, batch_invariance=0.0, within_bounds=True
        ),
        "folded": True,
        "checkpoint_sha256": "00",
        "data_sha256": "00",
        "versions": {},
        "git_commit": None,
        "device": "cpu",
        "precision": "float32",
        "wall_time_s": 1.0,
    }
    return CellResult.model_validate(values | others)
