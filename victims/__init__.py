"""Victim networks, one family a file."""

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
