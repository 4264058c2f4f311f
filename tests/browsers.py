"""A page in a real browser, without a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def opened_in(browser: Any, page: Path, **options: Any) -> Iterator[Any]:
    """Open a page with charts in a tab that fails the test if it complains or asks for anything."""
    tab = browser.new_page(offline=True, **options)
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda asked: None if asked.url == page.as_uri() else complaints.append(asked.url))
    tab.goto(page.as_uri())
    tab.wait_for_selector(".chart .main-svg", timeout=60_000)
    yield tab
    tab.close()
    assert not complaints
