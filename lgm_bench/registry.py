"""Lazy registries: names stand for "module:attribute" and are imported on first use."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from lgm_bench.errors import ConfigError, LgmBenchError, UnknownNameError, fault, never_exiting
from lgm_bench.sources import source_files


def resolve(kind: str, name: str, registry: Mapping[str, str]) -> Any:
    """Return the object that `name` stands for.

    Args:
        kind: What the registry holds ("victim", "attack", ...), for the error message.
        name: A registered name, or `package.module:Attribute` in a user's own code.
        registry: For each name, "module:attribute".

    Raises:
        UnknownNameError: `name` is not registered and has no colon; the nearest names are listed.
        ConfigError: The module or the attribute does not exist, or importing the module fails.
    """
    target = registry.get(name, name)
    module_name, colon, attribute = target.partition(":")
    if not colon or module_name[:1] in ("", "."):
        raise UnknownNameError(kind, name, registry)
    try:
        with never_exiting(f"{kind} {name!r}: module {module_name!r}"):
            module = importlib.import_module(module_name) if name in registry else _own_module(module_name)
    except LgmBenchError:
        raise
    except ImportError as error:
        raise ConfigError(f"{kind} {name!r}: cannot import {module_name!r} ({error})") from error
    except Exception as error:  # a user's own module may raise anything
        raise ConfigError(f"{kind} {name!r}: cannot import {module_name!r}: {fault(error)}") from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ConfigError(f"{kind} {name!r}: module {module_name!r} has no {attribute!r}") from error


def lazy(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package whose public names are imported on first use.

    Importing the package alone then does not import torch.

    Args:
        package: Its full name.
        homes: For each submodule, its public names; a submodule may list itself.
    """
    modules = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{modules[name]}")
        return module if name == modules[name] else getattr(module, name)

    return get, lambda: sorted({*vars(sys.modules[package]), *modules})


def _own_module(name: str) -> ModuleType:
    """Return a user's own module; if it is imported here, its source is recorded as it is now."""
    if name in sys.modules:
        return sys.modules[name]
    before = sys.dont_write_bytecode
    # Python mistakes old compiled code for this file's if both sources have the same size and were saved in one second.
    sys.dont_write_bytecode = True
    try:
        module = importlib.import_module(name)
    finally:
        sys.dont_write_bytecode = before
    source_files(name)
    return module
