"""What the documentation says: its pages, and the commands, files, examples and links in them."""

import re
import shlex
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from typer.main import get_command

from lgm_bench.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
VERBS: dict[str, Any] = vars(get_command(app))["commands"]
"""The command line's verbs, as it parses them."""

_FENCE = re.compile(r"^```(\w*)\s*$")
_PROGRAM, _MODULE = "lgm-bench", "lgm_bench"


class Block(NamedTuple):
    """Lines of a code block, fenced or indented, from line `first` of its page on."""

    language: str
    first: int
    lines: list[str]

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def file(self) -> str | None:
        """The name of the file that the block shows, if its first line is "# NAME"."""
        found = re.fullmatch(r"# ([\w./-]+\.(?:py|yaml))", self.lines[0].strip())
        return found[1] if found else None


class Command(NamedTuple):
    """A command line: the words of a call of lgm-bench after its name, or of a script, "python" among them."""

    place: str
    text: str
    words: list[str]

    @property
    def verb(self) -> str:
        return self.words[0] if self.words else ""


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page."""
    found: list[Block] = []
    language: str | None = None
    lines: list[str] = []
    previous = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence and language is None:
            language, lines = fence[1], []
        elif fence:
            found.append(Block(str(language), number - len(lines), lines))
            language = None
        elif language is not None:
            lines.append(line)
        elif line.startswith("    "):
            if previous.startswith("    ") and found and found[-1].language == "indented":
                found[-1].lines.append(line[4:])
            elif not previous.strip():
                found.append(Block("indented", number, [line[4:]]))
        previous = line
    return found


def named_files(page: Path) -> dict[str, str]:
    """Return the files that a page shows whole, by their names."""
    return {block.file: block.text for block in blocks(page) if block.file}


def commands(page: Path) -> Iterator[Command]:
    """Yield the calls of lgm-bench and of scripts in a page's code blocks, in order."""
    for block in blocks(page):
        if block.language in ("python", "yaml"):
            continue
        begun = ""
        for number, line in enumerate(block.lines, start=block.first):
            whole = begun + line.strip()
            begun = whole.removesuffix("\\") if whole.endswith("\\") else ""
            found = None if begun else _arguments(whole)
            if found is not None:
                yield Command(f"{page.name}:{number}", whole, found)


def inline_commands(page: Path) -> Iterator[Command]:
    """Yield the calls of lgm-bench that stand in a page's sentences."""
    for number, line in _prose(page):
        for text in re.findall(r"`(lgm-bench [^`]+)`", line):
            yield Command(f"{page.name}:{number}", text, shlex.split(text)[1:])


def inline_options(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the options that stand in a page's sentences, with their places."""
    for number, line in _prose(page):
        for text in re.findall(r"`([^`]+)`", line):
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text):
                yield f"{page.name}:{number}", option


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the relative links of a page, pictures among them, with their places."""
    for number, line in _prose(page):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if not re.match(r"[a-z]+:", target):
                yield f"{page.name}:{number}", target


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = [line.lstrip("#").strip() for _, line in _prose(page) if re.match(r"#+ ", line)]
    return {_anchor(heading) for heading in headings}


def _anchor(heading: str) -> str:
    kept = [c for c in heading.lower() if c in "-_ " or unicodedata.category(c)[0] in "LN"]
    return "".join(kept).replace(" ", "-")


def _prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines outside of code blocks."""
    code = {block.first + index for block in blocks(page) for index in range(len(block.lines))}
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if number not in code and not _FENCE.match(line):
            yield number, line


def _arguments(line: str) -> list[str] | None:
    """Return the words of a command, or None where a line is none."""
    if line.split(" ")[0] not in ("torchrun", "srun", "python", _PROGRAM):
        return None
    words = shlex.split(line, comments=True)
    if words[0] == "torchrun":
        return words[words.index(_MODULE) + 1 :]
    if words[0] == "python":
        return words
    words = words[1:] if words[0] == "srun" else words
    return words[1:] if words[0] == _PROGRAM else None
