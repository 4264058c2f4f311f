"""Lists of victims, data sets, attacks, gradients and suites, and which are ready here. Needs no torch."""

from collections.abc import Callable
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from datamodules import DATAMODULES, MARKS
from datamodules.location import data_folder
from lgm_bench.attacks import ATTACKS
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.kinds import inputs_of, is_static, softens
from lgm_bench.evaluation.cells.suites import plan
from lgm_bench.leaded import GRADIENTS
from victims.checkpoints import checkpoint_status

Item = dict[str, Any]
BUNDLED = "(nothing to bring)"


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
    found = []
    for name in DATAMODULES:
        folder = data_folder(name, data_root)
        bundled = name not in MARKS
        ready = bundled or any(any(folder.glob(mark)) for mark in MARKS[name])
        found.append({"name": name, "ready": ready, "folder": BUNDLED if bundled else str(folder)})
    return found


def attacks(data_root: str | None) -> list[Item]:  # noqa: ARG001
    """Return every attack with its inputs and its class."""
    return [
        {
            "name": name,
            "ready": True,
            "inputs": inputs_of(name).name,
            "class": target.replace(":", "."),
        }
        for name, target in ATTACKS.items()
    ]


def gradients(data_root: str | None) -> list[Item]:  # noqa: ARG001
    """Return every gradient method with the occupancies that it uses and its class."""
    return [
        {"name": name, "ready": True, "uses": "soft" if softens(name) else "hard", "class": target.replace(":", ".")}
        for name, target in GRADIENTS.items()
    ]


def suites(data_root: str | None) -> list[Item]:
    """Return the shipped suites with the number of their cells, and of those with data and weights here."""
    bench = load_bench()
    here = {item["name"] for item in victims(data_root) if item["ready"]}
    folders = {item["name"] for item in data(data_root) if item["ready"]}
    found = []
    for name, suite in bench.suites.items():
        cells, all_cells = ([one.cell for one in plan(bench, [name], full=full)] for full in (False, True))
        ready = sum(cell.victim.name in here and cell.data.name in folders for cell in cells)
        counts = {"cells": len(cells), "cells_ready": ready, "cells_full": len(all_cells)}
        found.append({"name": name, "ready": ready > 0, **counts, "title": suite.title})
    return found


KINDS: dict[str, Callable[[str | None], list[Item]]] = {
    "victims": victims,
    "data": data,
    "attacks": attacks,
    "gradients": gradients,
    "suites": suites,
}


def as_table(kind: str, items: list[Item]) -> Table:
    """Return a table of items, which marks those that are ready."""
    table = Table(title=kind, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    keys = [key for key in items[0] if key != "ready"]
    table.add_column("ready")
    for key in keys:
        # On a narrow terminal the last column is cut, so that an entry is one line; --json prints it in full.
        table.add_column(key.replace("_", " "), no_wrap=key != keys[-1])
    for item in items:
        texts = [Text(str(item[key]), no_wrap=True, overflow="ellipsis") for key in keys]
        table.add_row("yes" if item["ready"] else "-", *texts, style="" if item["ready"] else "dim")
    return table
