"""Fixtures that several test files share."""

import os
import signal
from pathlib import Path

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
