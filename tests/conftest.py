"""Fixtures that several test files share."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lgm_bench  # noqa: F401  before any test imports torch: it sets how idle threads wait

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started deaf to Ctrl-C


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder with real data, published weights and golden values: data/, weights/, golden/."""
    folder = os.environ.get("LGM_BENCH_SAMPLES")
    if not folder:
        pytest.skip("LGM_BENCH_SAMPLES is not set: real data, weights and golden values are not available")
    return Path(folder)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()
