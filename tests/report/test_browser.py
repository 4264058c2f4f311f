"""A report in a real browser, without a network; skipped where there is none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import opened_in
from hand_made import cell, result, scenes

from lgm_bench.report.page import page
from lgm_bench.results.reading import Finished

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = [
        result(cell(eps=eps, gradient=name), accuracy=left / (10 * eps))
        for eps in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
        for name, left in (("fgm", 5), ("lgm", 3))
    ]
    rooms = [scenes(cell(data="rooms", victim="<b>net</b>", gradient=name), miou=0.3) for name in ("fgm", "lgm")]
    found = [Finished(tmp_path_factory.getbasetemp() / str(n), one) for n, one in enumerate([*images, *rooms])]
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(found))
    return path


@pytest.fixture
def opened(browser: Any, report: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    with opened_in(browser, report, **getattr(request, "param", {})) as tab:
        yield tab


def column(tab: Any, number: int) -> list[str]:
    rows = tab.locator("#measure-accuracy table tbody tr:visible")
    return [row.locator("td").nth(number).inner_text() for row in rows.all()]


def test_tables_sort_by_number_and_filter(opened: Any) -> None:
    head = opened.locator("#measure-accuracy table thead th").nth(2)
    before = column(opened, 2)
    head.get_by_role("button").click()
    assert column(opened, 2) == sorted(before, key=float) != sorted(before)
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    assert column(opened, 2) == sorted(before, key=float, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    opened.locator("#measure-accuracy input.filter").fill("FGSM (32/255)")
    assert column(opened, 2) == ["3.12"]


@pytest.mark.parametrize(
    "opened", [{"color_scheme": "dark"}, {"color_scheme": "light", "viewport": PHONE}], indirect=True
)
def test_charts_follow_the_colours_of_the_page_and_fit_it(opened: Any) -> None:
    script = "element => getComputedStyle(element).%s"
    text = opened.locator("body").evaluate(script % "color")
    label = opened.locator(".chart .annotation-text").first
    assert label.evaluate(script % "fill") == text
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_pages_are_shown_one_at_a_time_and_names_are_no_markup(opened: Any) -> None:
    link = opened.locator("nav a", has_text="rooms")
    link.click()
    assert opened.locator(".page:visible").count() == 1
    assert opened.locator("#data-rooms").is_visible()
    assert link.get_attribute("aria-current") == "page"
    opened.go_back()
    opened.locator("#measure-miou .chart").scroll_into_view_if_needed()
    opened.wait_for_selector("#measure-miou .chart .annotation-text")
    names = opened.locator("#measure-miou .chart .annotation-text").all_text_contents()
    assert any("<b>net</b>" in name for name in names)
