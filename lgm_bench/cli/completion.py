"""What a shell is told when a name on the command line is to be completed. Needs no torch."""

import os
from pathlib import Path

from datamodules import DATAMODULES
from lgm_bench.attacks import ATTACKS
from lgm_bench.errors import LgmBenchError
from lgm_bench.leaded import GRADIENTS
from victims.names import victim_names


def complete_victim(incomplete: str) -> list[str]:
    """Return the victims that a name may become."""
    return [name for name in victim_names() if name.startswith(incomplete)]


def complete_suite(incomplete: str) -> list[str]:
    """Return the suites that a name may become: those of the file that stands on the command line, or the shipped."""
    from lgm_bench.evaluation.cells.config import read_yaml
    from lgm_bench.resources import resource

    # What is parsed so far has no arguments yet: a line that ends in an option without value is none.
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    files = [Path(word).expanduser() for word in line.split() if word.endswith((".yaml", ".yml"))]
    try:
        content = read_yaml(files[0] if files else resource("bench.yaml"))
        names = list(content["suites"])
    except (LgmBenchError, TypeError, KeyError):
        return []  # a shell that completes is no place for errors
    return [name for name in names if name.startswith(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    """Return the data sets that a name may become."""
    return [name for name in DATAMODULES if name.startswith(incomplete)]


def complete_attack(incomplete: str) -> list[str]:
    """Return the attacks that a name may become."""
    return [name for name in ATTACKS if name.startswith(incomplete)]


def complete_gradient(incomplete: str) -> list[str]:
    """Return what a list of gradients may become by the name that it ends in."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in GRADIENTS if name.startswith(last)]


def complete_table(incomplete: str) -> list[tuple[str, str]]:
    """Return the numbers of the paper's tables that a text may become, with what each shows."""
    from lgm_bench.evaluation.cells.paper import paper_tables

    numbered = [(name.removeprefix("table_"), table.title) for name, table in paper_tables().items()]
    return [(number, title) for number, title in numbered if number.startswith(incomplete)]
