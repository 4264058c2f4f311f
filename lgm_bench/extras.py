"""Optional libraries, which are imported when a feature needs them."""

import importlib
from types import ModuleType

from lgm_bench.errors import ConfigError

EXTRAS = {"plotly": "report", "sklearn": "report", "h5py": "points", "trimesh": "points"}
"""For each library, the extra of lgm-bench that installs it."""


def require(module: str, purpose: str) -> ModuleType:
    """Return a module of an optional library.

    Args:
        module: Its full name, such as "trimesh.sample".
        purpose: What it is needed for, to begin the message with, such as "reading .h5 files".

    Raises:
        ConfigError: The library cannot be imported; the message says how to install it.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"{purpose} needs {library} ({error}): pip install 'lgm-bench[{EXTRAS[library]}]'") from error
