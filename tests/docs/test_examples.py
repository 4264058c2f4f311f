"""The Python examples of all pages run, and the figures are what their scripts draw."""

import re
import runpy
from pathlib import Path

import pytest
from documented import PAGES, ROOT, Block, blocks
from finished_cells import finished, image_rows

EXAMPLES = [(page, block) for page in PAGES for block in blocks(page) if block.language == "python" and not block.file]
SILENT = [(page, block) for page, block in EXAMPLES if page.name not in ("README.md", "concepts.md")]
"""Those of which no page shows what they print."""
FIGURE = ROOT / "docs" / "figures" / "lagged_and_leaded.py"
GROWTH = FIGURE.with_name("cloud_growth.py")


@pytest.mark.parametrize(("page", "block"), SILENT, ids=lambda value: value.name if isinstance(value, Path) else "")
def test_example(page: Path, block: Block, at_home: Path) -> None:
    finished(at_home / "results", "0123456789abcdef", image_rows([True, False]), {})  # of which some examples read
    exec(compile(block.text, f"{page.name}:{block.first}", "exec"), {})


def test_what_the_page_on_concepts_says_is_printed(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = [block for page, block in EXAMPLES if page.name == "concepts.md"]
    exec(compile(example.text, "concepts.md", "exec"), {})
    shown = [block for block in blocks(ROOT / "docs" / "concepts.md") if block.language == "indented"]
    assert capsys.readouterr().out in [block.text for block in shown]


def test_the_demo_of_the_readme(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = [block for page, block in EXAMPLES if page.name == "README.md"]
    exec(compile(example.text, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    shown = next(block for block in blocks(ROOT / "README.md") if block.language == "indented").lines
    assert [re.sub(r"[\d.]+%", "", line) for line in printed] == [re.sub(r"[\d.]+%", "", line) for line in shown]
    # another processor may round a few of the 500 digits to another verdict
    assert percentages(printed) == pytest.approx(percentages(shown), abs=1)


def percentages(lines: list[str]) -> list[float]:
    return [float(number) for number in re.findall(r"([\d.]+)%", "\n".join(lines))]


def test_figure(tmp_path: Path) -> None:
    script = runpy.run_path(str(FIGURE))
    (fgm, loss_of_fgm), (lgm, loss_of_lgm) = script["stepped"](script["FGM"]()), script["stepped"](script["LGM"](5.0))
    assert fgm < script["START"] < script["GATE"] < lgm, "FGM walks away from the gate, LGM through it"
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    told = re.findall(r"x goes to ([\d.]+); loss 0.76 becomes ([\d.]+)", text)
    assert told == [(f"{fgm:.1f}", f"{loss_of_fgm:.2f}"), (f"{lgm:.1f}", f"{loss_of_lgm:.2f}")]
    for name in script["PALETTES"]:
        script["draw"](tmp_path / name)
        assert numbers(tmp_path / name) == pytest.approx(numbers(FIGURE.parent / name), abs=0.01)


def test_figure_of_the_board(tmp_path: Path) -> None:
    """After a new entry, run python docs/figures/board.py."""
    script = runpy.run_path(str(FIGURE.with_name("board.py")))
    entries = script["read_board"](script["BOARD"])
    for name in script["PALETTES"]:
        script["draw"](tmp_path / name, entries)
        assert numbers(tmp_path / name) == pytest.approx(numbers(FIGURE.parent / name), abs=0.01)
    drawn = [line for line in script["lines_of"](entries) if not isinstance(line, str)]
    assert sorted(drawn, key=str) == sorted(entries, key=str)


def test_the_figure_of_growth_shows_the_numbers_of_the_table(tmp_path: Path) -> None:
    script = runpy.run_path(str(GROWTH))
    table = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    printed: dict[int, str] = {}
    for line in script["lines"]():
        printed[line.points] = printed.get(line.points, "") + f" | {line.seconds:.2f} s, {line.megabytes:,.0f} MB"
    assert len(printed) >= 5
    for points, cells in printed.items():
        assert f"| {points:,}{cells} |" in table
    for name in script["PALETTES"]:
        script["draw"](tmp_path / name)
        assert numbers(tmp_path / name) == pytest.approx(numbers(GROWTH.parent / name), abs=0.01)


def numbers(svg: Path) -> list[float]:
    """The coordinates of the lines of a picture: those of letters depend on the fonts that are installed."""
    drawn = re.findall(r'<path d="([^"]+)" clip-path', svg.read_text(encoding="utf-8"))
    assert len(drawn) >= 6
    return [float(number) for path in drawn for number in re.findall(r"-?[\d.]+", path)]
