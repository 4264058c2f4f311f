"""How the documentation's commands are cut to seconds: what is added to them, and what they are expected to answer.

An option that is given twice counts as given last, so that what is added here overrules what the page says.
"""

from collections.abc import Callable
from typing import NamedTuple

from documented import Command

TINY_DATA = "tiny_cifar10:TinyCIFAR10"
"""Twelve images in CIFAR-10's layout instead of the official 10,000, which the official MD5s would refuse."""


class Cut(NamedTuple):
    """What is added to the commands that `applies` to, and why."""

    why: str
    applies: Callable[[Command], bool]
    added: tuple[str, ...]


def _has(*words: str) -> Callable[[Command], bool]:
    return lambda command: all(word in command.words for word in words)


def _verb(*verbs: str) -> Callable[[Command], bool]:
    return lambda command: command.verb in verbs


def _on_cifar10(command: Command) -> bool:
    return (
        command.verb in ("attack", "evaluate", "search", "train")
        and "-cifar10" in command.words[1]
        and "--data" not in command.words
    )


def _suite(command: Command) -> str:
    """The suite that a command names last; "" for one of a file of its own."""
    named = [after for word, after in zip(command.words, command.words[1:], strict=False) if word == "--suite"]
    if "--table" in command.words and not named:
        return "paper"
    return named[-1] if named else "" if any(".yaml" in word for word in command.words) else "mini"


CUTS = (
    Cut(
        "published networks, whole test sets: planned, not run",
        lambda c: c.verb == "run" and (_suite(c) in ("paper", "points", "ablation", "control") or "--full" in c.words),
        ("--dry-run",),
    ),
    Cut(
        "one victim, one eps, generated batches",
        lambda c: c.verb in ("run", "validate") and _suite(c) == "cifar10",
        (
            *("--victim", "dynconv20-cifar10", "--set", f"suites.cifar10.grids.0.data={TINY_DATA}"),
            *("--set", "suites.cifar10.grids.0.eps=2", "--set", f"suites.cifar10.full.0.data={TINY_DATA}"),
            *("--set", "suites.cifar10.full.0.attacks=bim"),
        ),
    ),
    Cut(
        "one victim of the suite",
        lambda c: c.verb == "run" and _suite(c) == "mini" and "--victim" not in c.words,
        ("--victim", "dynconv8-mini"),
    ),
    Cut(
        "one process, since two start slowly (see tests/evaluation/engine)",
        _has("run", "--devices"),
        ("--devices", "1"),
    ),
    Cut("two samples", _verb("run", "attack", "evaluate"), ("--limit", "2")),
    Cut("few gradients", _verb("evaluate"), ("--budget", "standard-fast")),
    Cut("no progress", _verb("run", "attack", "evaluate", "train", "search"), ("--quiet",)),
    Cut("generated batches", _on_cifar10, ("--data", TINY_DATA)),
    Cut("one short training", lambda c: c.verb == "train" and "-cifar10" in c.words[1], ("--recipe", "short.yaml")),
    Cut("few tries", _verb("search"), ("--limit", "4", "--eps", "4/255", "--slopes", "0.1,1")),
    Cut("few iterations", lambda c: c.verb == "attack" and "--steps" in c.words, ("--steps", "2")),
    Cut("small rooms", _has("attack", "rooms-scannet"), ("--data", "scannet-mini", "--steps", "2", "--limit", "1")),
    Cut("few iterations", _has("attack", "my_points:Net"), ("--steps", "2", "--limit", "1")),
)

ANSWERS: tuple[tuple[Callable[[Command], bool], int, str], ...] = (
    (_has("compare", "results/mine"), 2, "no results folder results/mine"),
    (_has("compare", "--update"), 2, "name its suite with --suite"),
    (_has("compare", "--against"), 2, "no leaderboard leaderboard/mini.json"),
    (_verb("compare"), 2, "no shipped leaderboard (mini) has a cell of these results"),  # which are limited
)
"""Commands that cannot do their work here: what they must answer instead, and with which exit code."""


def cut(command: Command) -> list[str]:
    """Return a command's words with what makes it short."""
    words = list(command.words)
    for one in CUTS:
        if one.applies(command):
            words += one.added
    return words


def expected(command: Command) -> tuple[int, str]:
    """Return the exit code and a text of the answer that a command must give."""
    return next(((code, text) for applies, code, text in ANSWERS if applies(command)), (0, ""))
