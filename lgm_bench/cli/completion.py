"""Completion of names in a shell. Nothing here imports torch."""

import os
from collections.abc import Callable, Iterable

from datamodules import DATAMODULES
from lgm_bench.attacks import ATTACKS
from lgm_bench.errors import LgmBenchError
from lgm_bench.files import expanded
from lgm_bench.leaded import GRADIENTS
from victims.names import victim_names


def _completing(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return a function that completes the beginning of a name."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def _suites() -> list[str]:
    """Return the suites of the benchmark file on the command line, or else of the shipped one."""
    from lgm_bench.evaluation.cells.config import read_yaml
    from lgm_bench.resources import resource

    # During completion typer has no parsed arguments: the line may end in an option without its value.
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    files = [expanded(word) for word in line.split() if word.endswith((".yaml", ".yml"))]
    try:
        return list(read_yaml(files[0] if files else resource("bench.yaml"))["suites"])
    except (LgmBenchError, TypeError, KeyError):
        return []  # errors would be printed into the line that is completed


complete_victim = _completing(victim_names)
complete_data = _completing(lambda: DATAMODULES)
complete_attack = _completing(lambda: ATTACKS)
complete_suite = _completing(_suites)


def complete_gradient(incomplete: str) -> list[str]:
    """Complete the last name of a list of gradients."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in GRADIENTS if name.startswith(last)]


def complete_table(incomplete: str) -> list[tuple[str, str]]:
    """Complete the number of one of the paper's tables, with its title."""
    from lgm_bench.evaluation.cells.paper import paper_tables

    numbered = [(name.removeprefix("table_"), table.title) for name, table in paper_tables().items()]
    return [(number, title) for number, title in numbered if number.startswith(incomplete)]
