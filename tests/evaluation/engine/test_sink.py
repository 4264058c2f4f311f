"""When waiting rows are written."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch

from lgm_bench.evaluation.engine import sink as module
from lgm_bench.evaluation.engine.sink import Sink


@pytest.mark.parametrize(("writing", "group"), [(0.001, 1.0), (0.05, 5.0)], ids=["fast disk", "slow disk"])
def test_rows_wait_until_writing_is_a_small_share(
    monkeypatch: pytest.MonkeyPatch, writing: float, group: float
) -> None:
    clock = SimpleNamespace(now=0.0)
    written: list[float] = []

    def add(*_: Any) -> None:
        clock.now += writing
        written.append(clock.now)

    monkeypatch.setattr(module, "GROUP_S", 1.0)
    monkeypatch.setattr(module, "MOST_WRITING", 0.01)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    store: Any = SimpleNamespace(add=add)
    figures: Any = SimpleNamespace(update=lambda _: None)
    progress: Any = SimpleNamespace()
    sink = Sink(store, torch.device("cpu"), progress, figures)
    monkeypatch.setattr(sink, "write", lambda: Sink.write(sink, report=False))
    for _ in range(2000):
        clock.now += 0.01
        sink.finished(pa.table({"id": ["a"]}), 0.01)
    gaps = [after - before for before, after in pairwise(written)]
    assert gaps
    assert max(abs(gap - group) for gap in gaps) < 0.02 + 2 * writing
