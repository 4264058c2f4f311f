"""Fixtures of the tests of running cells."""

from collections.abc import Iterator

import pytest

from lgm_bench.evaluation.engine import sink
from lgm_bench.tasks import tensors


@pytest.fixture(autouse=True)
def _a_file_for_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """However quickly batches follow each other, so that tests know what is kept."""
    monkeypatch.setattr(sink, "GROUP_S", 0.0)
    monkeypatch.setattr(sink, "MOST_WRITING", float("inf"))


@pytest.fixture(autouse=True, scope="module")
def _small_passes() -> Iterator[None]:
    """Batches are multiples of a pass, and the tests have few samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "PASS_SIZE", 4)
        yield


@pytest.fixture
def _no_sample_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every batch is finished by itself: with passes of one image, no sample waits for the next batch."""
    monkeypatch.setattr(tensors, "PASS_SIZE", 1)
