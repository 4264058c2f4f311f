"""Victim networks, one family per file."""

from typing import TYPE_CHECKING, Any

from lgm_bench.registry import resolve

if TYPE_CHECKING:
    from victims.checkpoints import checkpoint_status
    from victims.loading import checkpoint_id, import_checkpoint, load_victim, save_checkpoint
    from victims.names import victim_names

__all__ = [
    "checkpoint_id",
    "checkpoint_status",
    "import_checkpoint",
    "load_victim",
    "save_checkpoint",
    "victim_names",
]
_HOMES = {"checkpoint_status": "victims.checkpoints", "victim_names": "victims.names"}


def __getattr__(name: str) -> Any:
    """Import a function when it is first used, since the victims' names and checkpoint status need no torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve("function", f"{_HOMES.get(name, 'victims.loading')}:{name}", {})


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
