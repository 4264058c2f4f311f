"""Lists of victims, data sets, attacks, gradients and suites, and which are ready here. Needs no torch."""

from collections.abc import Callable
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from datamodules import DATAMODULES, MARKS
from datamodules.location import data_folder
from lgm_bench.attacks import ATTACKS
from lgm_bench.cli.output import Aligned
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.kinds import inputs_of, is_static, softens
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.leaded import GRADIENTS
from victims.checkpoints import checkpoint_status

Item = dict[str, Any]
BUNDLED = "(nothing to download)"


def victims(data_root: str | None) -> list[Item]:  # noqa: ARG001
    """Return every victim: static or adaptive, with its checkpoint or what is missing."""
    return [
        {
            "name": status.name,
            "ready": status.ready,
            "kind": "static" if is_static(status.name) else "adaptive",
            "checkpoint": status.detail,
        }
        for status in checkpoint_status()
    ]


def data(data_root: str | None) -> list[Item]:
    """Return every data set and whether its folder is there."""
    items = []
    for name in DATAMODULES:
        folder = data_folder(name, data_root)
        bundled = name not in MARKS
        ready = bundled or any(any(folder.glob(mark)) for mark in MARKS[name])
        items.append({"name": name, "ready": ready, "folder": BUNDLED if bundled else str(folder)})
    return items


def attacks(data_root: str | None) -> list[Item]:  # noqa: ARG001
    """Return every attack with what it changes and its class."""
    return [
        {"name": name, "ready": True, "inputs": inputs_of(name).name, "class": target.replace(":", ".")}
        for name, target in ATTACKS.items()
    ]


def gradients(data_root: str | None) -> list[Item]:  # noqa: ARG001
    """Return every gradient method with the kind of occupancy that it uses and its class."""
    return [
        {"name": name, "ready": True, "uses": "soft" if softens(name) else "hard", "class": target.replace(":", ".")}
        for name, target in GRADIENTS.items()
    ]


def suites(data_root: str | None) -> list[Item]:
    """Return the shipped suites with the number of their cells, and of those whose data and weights are here."""
    bench = load_bench()
    ready_victims = {item["name"] for item in victims(data_root) if item["ready"]}
    ready_data = {item["name"] for item in data(data_root) if item["ready"]}
    items = []
    for name, suite in bench.suites.items():
        cells, all_cells = ([one.cell for one in plan(bench, [name], full=full)] for full in (False, True))
        ready = sum(cell.victim.name in ready_victims and cell.data.name in ready_data for cell in cells)
        counts = {"cells": len(cells), "cells_ready": ready, "cells_full": len(all_cells)}
        items.append({"name": name, "ready": ready > 0, **counts, "title": suite.title})
    return items


KINDS: dict[str, Callable[[str | None], list[Item]]] = {
    "victims": victims,
    "data": data,
    "attacks": attacks,
    "gradients": gradients,
    "suites": suites,
}


def as_table(kind: str, items: list[Item]) -> RenderableType:
    """Return a table of items; those that are not ready are dim."""
    keys = [key for key in items[0] if key != "ready"]
    rows = [["yes" if item["ready"] else "-", *(str(item[key]) for key in keys)] for item in items]
    styles = ["" if item["ready"] else "dim" for item in items]
    return Group(
        Text(f"{kind}\n", "bold"), Aligned(rows, styles, ["ready", *(key.replace("_", " ") for key in keys)]), ""
    )
