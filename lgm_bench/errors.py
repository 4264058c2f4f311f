"""Errors for users; each names the value, what was expected and what to do next."""

import difflib
from collections.abc import Iterable


class LgmBenchError(Exception):
    """Base of every error that lgm-bench raises on purpose; the command line prints it without a traceback."""


class UnknownNameError(LgmBenchError):
    """A name that is not registered; the message lists the nearest names."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}{did_you_mean(name, known)}")


class ConfigError(LgmBenchError):
    """An option, a YAML entry or an argument with a value that makes no sense."""


class DataError(LgmBenchError):
    """Data that is missing, truncated or not in the official layout."""


class CheckpointError(LgmBenchError):
    """A checkpoint that is missing, damaged or does not fit its network."""


class ResultError(LgmBenchError):
    """A results folder that cannot be written, is in use, or holds unexpected content."""


class RunInterruptedError(LgmBenchError):
    """A run that was stopped by the user; what it has finished is kept."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the nearest known names, or all of them if none is near.

    >>> did_you_mean("skpnet110-cifar10", ["skipnet110-cifar10", "dynconv32-imagenet"])
    '; did you mean skipnet110-cifar10?'
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    near.sort(key=lambda known_name: not known_name.startswith(name))
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; known: {', '.join(names)}" if names else ""
