"""Libraries that only some data sets need, imported when they are."""

import importlib
from types import ModuleType

from lgm_bench.errors import ConfigError


def require_library(name: str, purpose: str) -> ModuleType:
    """Return a library of the extra `points`.

    Args:
        name: As it is imported.
        purpose: What it is needed for, "reading .h5 files".

    Raises:
        ConfigError: It is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"{purpose} needs {name.partition('.')[0]} ({error}): pip install 'lgm-bench[points]'"
        ) from error
