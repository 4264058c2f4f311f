"""The canvases of point clouds in a browser: views turn together, errors stand out, and nothing is reported broken."""

from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lgm_bench.report.cloud_examples import STILL, View, _viewer
from lgm_bench.report.cloud_views import Direction
from lgm_bench.tasks.samples import ExampleCloud

N = 400
PALETTE = ((200, 40, 40), (40, 40, 200))


def viewer() -> str:
    random = np.random.default_rng(0)
    clean = torch.from_numpy(random.uniform(-1, 1, (N, 3)).astype(np.float32) * np.array([2, 1, 0.5], np.float32))
    arms = {
        name: ExampleCloud(
            "x", clean + shift, clean, *(torch.zeros(N, dtype=torch.int64),) * 3, *(clean[:, 0] > 1,) * 2
        )
        for name, shift in (("fgm", 0.1), ("lgm", 0.3))
    }
    kinds = (np.arange(N) % 2).astype(np.uint8)
    views = [
        View("labels", None, kinds, PALETTE, np.zeros(N, bool)),
        View("clean <b>", None, kinds, PALETTE, kinds > 0),
    ]
    views += [View(name, number, kinds, PALETTE, kinds > 0) for number, name in enumerate(arms)]
    changed = [View("changed", 1, np.zeros(N, np.uint8), (STILL,))]
    rows = [("Classes", views), ("Changes", changed)]
    return _viewer('a "room"', rows, arms["fgm"], arms, np.arange(N), Direction())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    templates = files("lgm_bench.report") / "templates"
    css, script = ((templates / name).read_text() for name in ("examples.css", "clouds.js"))
    html = f"<!DOCTYPE html><title>x</title><style>{css}</style><body>{viewer()}{viewer()}<script>{script}</script>"
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    return tmp_path / "page.html"


@pytest.fixture
def page(browser: Any, path: Path) -> Iterator[Any]:
    messages: list[str] = []
    page = browser.new_page(viewport={"width": 390, "height": 1400})
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("canvas")
    yield page
    assert not messages
    page.close()


def contents(page: Any) -> list[str]:
    """What each canvas shows, once it is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    urls = page.evaluate("() => [...document.querySelectorAll('canvas')].map((canvas) => canvas.toDataURL())")
    return [sha256(url.encode()).hexdigest() for url in urls]


def changed(before: list[str], after: list[str]) -> list[bool]:
    return [old != new for old, new in zip(before, after, strict=True)]


FIRST, SECOND = [True] * 5, [False] * 5


def test_views_of_one_cloud_turn_together_and_others_stay(page: Any) -> None:
    start = contents(page)
    assert len(start) == 10
    box = page.locator("canvas").nth(2).bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 80, box["y"] + 60, steps=3)
    page.mouse.up()
    turned = contents(page)
    assert changed(start, turned) == FIRST + SECOND
    page.mouse.move(box["x"] + 20, box["y"] + 90)
    assert contents(page) == turned, "without a pressed button nothing turns"
    page.get_by_text("Reset").first.click()
    assert contents(page) == start


def test_keys_and_buttons_move_the_camera(page: Any) -> None:
    start = contents(page)
    page.locator(".turning").first.focus()
    seen = [start]
    for key in ("ArrowLeft", "ArrowUp", "+"):
        page.keyboard.press(key)
        seen.append(contents(page))
        assert changed(seen[-2], seen[-1]) == FIRST + SECOND
    page.keyboard.press("Home")
    assert contents(page) == start
    page.get_by_role("button", name="Turn left").last.click()
    assert changed(start, contents(page)) == SECOND + FIRST


def test_errors_only_changes_what_can_be_wrong(page: Any) -> None:
    start = contents(page)
    page.get_by_label("errors only").first.check()
    assert changed(start, contents(page)) == [True, True, True, True, False, *SECOND]
    red = "() => { const canvas = document.querySelectorAll('canvas')[1], context = canvas.getContext('2d');"
    red += "const data = context.getImageData(0, 0, canvas.width, canvas.height).data; let n = 0;"
    red += "for (let i = 0; i < data.length; i += 4) n += data[i] > 2 * data[i + 2]; return n; }"
    assert page.evaluate(red) == 0, "points that are right lose their colour"
    page.get_by_label("errors only").first.uncheck()
    assert contents(page) == start
    assert page.evaluate(red) > 0


def test_the_cloud_fills_the_middle_of_its_canvas(page: Any) -> None:
    counted = "() => { const canvas = document.querySelector('canvas'), context = canvas.getContext('2d');"
    counted += "const data = context.getImageData(0, 0, canvas.width, canvas.height).data; const n = [0, 0];"
    counted += (
        "for (let i = 3; i < data.length; i += 4) if (data[i]) n[(i >> 2) % canvas.width < canvas.width / 2 ? 0 : 1]++;"
    )
    counted += "return [...n, canvas.width * canvas.height]; }"
    left, right, whole = page.evaluate(counted)
    assert 0.2 < (left + right) / whole < 0.95
    assert 0.8 < left / right < 1.25, "a box lies in the middle"


def test_without_javascript_and_in_print_there_are_pictures(browser: Any, path: Path, page: Any) -> None:
    assert page.locator(".view img").first.is_hidden()
    page.emulate_media(media="print")
    assert page.locator(".view img").first.is_visible()
    assert page.locator("canvas").first.is_hidden()
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(path.as_uri())
    assert plain.locator(".view img").count() == 10
    assert plain.locator(".view img").first.is_visible()
    assert plain.locator(".tools").first.is_hidden()
    assert "clean <b>" in plain.locator(".view p").nth(1).inner_text()
    context.close()
