"""Errors for users. Each message has the value, what was expected and what to do next."""

import difflib
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PACKAGE = Path(__file__).parent


class LgmBenchError(Exception):
    """Base of all errors that lgm-bench raises on purpose; the command line prints them without a traceback."""


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


class LostProcessError(LgmBenchError):
    """A process of the run is gone, so the run has to be started again."""


class RunInterruptedError(LgmBenchError):
    """A run that the user stopped; what was finished is kept."""


def fault(error: BaseException) -> str:
    """Return an error in one line; errors that are not ours get their type and the place in the code.

    >>> fault(ValueError("no labels"))
    'ValueError: no labels'
    """
    if isinstance(error, LgmBenchError):
        return str(error)
    text = (error.msg if isinstance(error, SyntaxError) else str(error)).strip()
    where = place(error)
    return type(error).__name__ + f": {text}" * bool(text) + f" ({where})" * bool(where)


def place(error: BaseException) -> str:
    """Return the file and line where an error was raised: the last one in a user's own code, if there is any."""
    if kept := getattr(error, "place", ""):  # an error from another process has no traceback here
        return str(kept)
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    local = [frame for frame in frames if _is_local(Path(frame.filename))]
    return next((f"{frame.filename}, line {frame.lineno}" for frame in reversed(local or frames)), "")


def _is_local(file: Path) -> bool:
    outside = any(part in ("site-packages", "dist-packages") or part.startswith("<") for part in file.parts)
    ours = any(file.is_relative_to(_PACKAGE.parent / name) for name in ("lgm_bench", "victims", "datamodules"))
    return not outside and not ours and not file.is_relative_to(Path(traceback.__file__).parent)


@contextmanager
def never_exiting(what: str) -> Iterator[None]:
    """Turn a `sys.exit()` in a user's own code into an error of ours.

    Raises:
        ConfigError: The code in the block called `sys.exit()`.
    """
    try:
        yield
    except SystemExit as error:
        if type(error) is not SystemExit:  # an interruption
            raise
        raise ConfigError(f"{what} calls sys.exit({error.code!r}) ({place(error)}); raise an error there") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the nearest known names, or all names if none is near.

    >>> did_you_mean("skpnet110-cifar10", ["skipnet110-cifar10", "dynconv32-imagenet"])
    '; did you mean skipnet110-cifar10?'
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    near.sort(key=lambda known_name: not known_name.startswith(name))
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; known: {', '.join(names)}" if names else ""
