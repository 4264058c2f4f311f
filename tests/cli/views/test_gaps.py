"""The list of what is missing: complete for the whole paper, each thing once, grouped, and no paragraph repeated."""

import re
from pathlib import Path

import pytest

from lgm_bench.cli.views.gaps import gap_lines
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import Planned, plan
from lgm_bench.evaluation.readiness import CHECKPOINT, DATA, look


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Planned]:
    """The whole suite where nothing is there."""
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LGM_BENCH_DATA", raising=False)
    return plan(load_bench(), ["paper"])


def test_everything_that_the_paper_needs_is_listed_once(paper: list[Planned]) -> None:
    gaps = look(paper).gaps
    victims, data = ({getattr(one.cell, name).name for one in paper} for name in ("victim", "data"))
    assert {gap.name for gap in gaps if gap.kind == CHECKPOINT} == victims
    assert {gap.name for gap in gaps if gap.kind == DATA} == data
    assert len(gaps) == len(victims) + len(data) == 17
    assert {cell for gap in gaps for cell in gap.cells} == {one.cell for one in paper}


def test_the_list_says_what_to_get_where_to_put_it_and_what_needs_it(paper: list[Planned]) -> None:
    lines = list(gap_lines(look(paper).gaps))
    assert [line.partition(" (")[0] for line in lines if not line.startswith(" ")] == [
        "missing data sets",
        "missing checkpoints",
    ]
    text = "\n".join(lines)
    assert re.search(
        r"\n  cifar10: .*Unpack https://\S+ in data/cifar10.*\n    cannot run: 84 cells of Tables I, II\n", text
    )
    assert "cannot run: 62 cells of Tables IV, V, VI, VII, VIII" in text
    assert "run `lgm-bench import skipnet110-cifar10 resnet-110-rnn-cifar10.pth.tar`" in text
    assert "minknet-modelnet40: No published file of it is known; `lgm-bench train minknet-modelnet40" in text
    sentences = [sentence for line in lines for sentence in re.split(r"(?<=[.:]) ", line.strip()) if len(sentence) > 60]
    assert len(sentences) == len(set(sentences)), "no sentence is said twice"


def test_lines_are_wrapped_where_there_is_a_width(paper: list[Planned]) -> None:
    lines = list(gap_lines(look(paper).gaps, width=100))
    longest = max((word for line in lines for word in line.split()), key=len)
    assert max(len(line) for line in lines) <= max(100, len(longest) + 6)
