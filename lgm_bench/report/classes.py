"""Names of the classes of a data set, if it is at hand."""

from collections.abc import Sequence

from datamodules import DATAMODULES
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.registry import resolve


def class_name(names: Sequence[str], label: int) -> str:
    """Return the name of a class, or its number where `names` ends before it."""
    return names[label] if label < len(names) else str(label)


def class_names(result: CellResult) -> Sequence[str]:
    """Return the names in the order of the classes; empty where nobody knows, so that numbers have to do."""
    if result.classes is not None:
        return result.classes.names
    try:
        return tuple(str(name) for name in resolve("data set", result.cell.data.name, DATAMODULES).class_names)
    except Exception:  # a data set of a user's own, whose code may be gone or fail in any way
        return ()
