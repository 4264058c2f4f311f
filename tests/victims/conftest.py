"""Victim tests write to a store of their own."""

from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's checkpoint store, empty."""
    folder = tmp_path / "store"
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(folder))
    return folder


@pytest.fixture
def float64():
    """New tensors and networks are float64 while the test runs."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
