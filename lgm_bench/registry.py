"""Lazy registries: a name stands for "module:attribute", imported only when it is used."""

import importlib
from collections.abc import Mapping
from typing import Any

from lgm_bench.errors import ConfigError, UnknownNameError


def resolve(kind: str, name: str, registry: Mapping[str, str]) -> Any:
    """Return the object that `name` stands for.

    Args:
        kind: What the registry holds ("victim", "attack", ...), for the error message.
        name: A registered name, or `package.module:Attribute` of a user's own.
        registry: Name to "module:attribute".

    Raises:
        UnknownNameError: `name` is not registered and has no colon; the nearest names are listed.
        ConfigError: The module or the attribute does not exist.
    """
    target = registry.get(name, name)
    module_name, colon, attribute = target.partition(":")
    if not colon or module_name[:1] in ("", "."):
        raise UnknownNameError(kind, name, registry)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{kind} {name!r}: cannot import {module_name!r} ({error})") from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ConfigError(f"{kind} {name!r}: module {module_name!r} has no {attribute!r}") from error
