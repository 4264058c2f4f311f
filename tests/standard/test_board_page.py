"""The page of a board: what it says, and what it does in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import opened_in

from lgm_bench.resources import resource
from lgm_bench.standard.board import BoardFigure, BoardFlag, Entry, Reported, read_entry
from lgm_bench.standard.board_page import board_page

A_FILE = resource("leaderboard") / "standard" / "dynconv20_at-cifar10-linf-8_255.json"


def entry(network: str, left: int, **other: Any) -> Entry:
    """An entry of 100 images of which the control leaves 60 and the members `left`."""
    shares = {"clean": 90, "fgm": 70, "control": 60, "gradient": left}
    accuracies = {f"{name}_accuracy": BoardFigure(value=n / 100, interval=None) for name, n in shares.items()}
    accuracies["accuracy"] = BoardFigure(value=left / 100, interval=(left / 100 - 0.01, left / 100 + 0.01))
    given = {
        **{"network": network, "n_samples": 100, "accuracies": accuracies, "limited": False, "flags": ()},
        "gain": BoardFigure(value=(60 - left) / 100, interval=((55 - left) / 100, (65 - left) / 100)),
        "felled_by": {"clean": 10, "apgd-ce": 90 - left, "withstand": left},
    }
    return Entry.model_validate({**read_entry(A_FILE).model_dump(), **given, **other})


def scenes(network: str, left: int) -> Entry:
    """An entry of 6 scenes with an mIoU of 60 under the control and `left` in the worst case."""
    shares = {"clean_miou": 90, "fgm_miou": 70, "control_miou": 60, "miou": left}
    return entry(
        network,
        left,
        **{"sample": "scene", "data": "rooms", "eps": 0.02, "n_samples": 6, "compute": None},
        accuracies={name: BoardFigure(value=n / 100, interval=None) for name, n in shares.items()},
        felled_by={"pointbim/lgm@10": 6},
    )


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return [
        entry("nine", 9, reported=Reported(accuracy=0.8, place="Table 1")),
        entry("<b>ten</b>", 10, limited=True, compute=None),
        entry("hundred", 60, flags=(BoardFlag(name="large eps", evidence="7 of 8 stand"),)),
    ]


@pytest.fixture
def opened(browser: Any, entries: list[Entry], tmp_path: Path) -> Iterator[Any]:
    page = tmp_path / "board.html"
    page.write_text(board_page(entries), encoding="utf-8")
    with opened_in(browser, page, viewport={"width": 390, "height": 844}) as tab:
        yield tab


def column(tab: Any, number: int) -> list[str]:
    return [row.locator("td").nth(number).inner_text() for row in tab.locator("#networks tbody tr:visible").all()]


def test_a_click_on_a_head_sorts_and_the_box_filters(opened: Any) -> None:
    assert column(opened, 6) == ["9.0", "10.0", "60.0"]
    opened.get_by_role("button", name="below the control").click()
    assert column(opened, 6) == ["60.0", "10.0", "9.0"]
    opened.get_by_role("button", name="worst case").click()
    assert column(opened, 6) == ["9.0", "10.0", "60.0"]
    assert column(opened, 0) == ["nine", "<b>ten</b>", "hundred"]
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page fits a phone"


def test_the_page_says_what_limits_the_trust(entries: list[Entry]) -> None:
    page = board_page(entries)
    assert [one.reliability for one in entries] == [
        [],
        ["only 100 images"],
        ["no better than the control", "large eps"],
    ]
    assert "no better than the control; large eps" in page
    assert "1 of 3 entries are of a part of their data set" in page
    assert "7 of 8 stand" in page
    assert "<b>ten" not in page
    everywhere = entry("x", 0, gain=BoardFigure(value=0.6, interval=None))
    assert everywhere.reliability == [], "a gain without an interval is one on all samples"
    uncertain = entry("x", 58)
    assert uncertain.reliability == ["the lead over the control may be chance"]


def test_scenes_have_a_chart_and_a_table_of_their_own(entries: list[Entry]) -> None:
    page = board_page([*entries, scenes("minkunet", 20)])
    assert "Dumbbell chart, Accuracy on cifar10, L-infinity 8/255. nine, all 100 images: clean 90.0%" in page
    assert "Dumbbell chart, mIoU on rooms, L-infinity 0.02 m. minkunet, all 6 scenes: clean 90.0%" in page
    assert "Scenes: mIoU left" in page
    assert "Shapes:" not in page
    assert "MMACs: million multiply-adds per image" in page
    assert "over the images that are right without one" in page
    assert "per scene" not in board_page([scenes("minkunet", 20)])
