"""A task's figures over two processes, with shares of odd and zero size."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from finished_cells import image_rows, scene_rows
from forked import together
from torch import distributed

from lgm_bench.evaluation.engine.compute import FiguresOfRows
from lgm_bench.evaluation.store.tally import Tally
from lgm_bench.tasks.images import ImageClassification
from lgm_bench.tasks.point_clouds import SceneSegmentation

SHARES = {"4+3": (range(0, 7, 2), range(1, 7, 2)), "7+0": (range(7), range(0))}
CLASSES = 4


def rows(task: str) -> pa.Table:
    """Of seven samples."""
    if task == "images":
        return image_rows([True, False, True, False, False, True, False], attacked=[True] * 6 + [False])
    return scene_rows(np.random.default_rng(0).integers(0, 50, (7, CLASSES, CLASSES)), ignored=(1,))


def figures(task: str, numbers: range) -> dict[str, float]:
    across = FiguresOfRows(ImageClassification if task == "images" else SceneSegmentation, CLASSES)
    for number in numbers:
        across.update(rows(task).slice(number, 1))
    return across.merged()


def _rank(rank: int, rendezvous: str, out: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    for name, shares in SHARES.items():
        torch.save({task: figures(task, shares[rank]) for task in ("images", "scenes")}, f"{out}-{name}-{rank}")
    distributed.barrier()  # the last that the two have in common; leaving the group may block where torch is old


def test_two_processes_merge_odd_shares(tmp_path: Path) -> None:
    together(_rank, str(tmp_path / "rendezvous"), str(tmp_path / "out"))
    for task in ("images", "scenes"):
        expected = {name: value for name, value in Tally.of(rows(task)).figures().items() if value is not None}
        assert expected[{"images": "accuracy", "scenes": "miou"}[task]] == pytest.approx(0.5, abs=0.4)
        for name in SHARES:
            for rank in range(2):
                found = torch.load(tmp_path / f"out-{name}-{rank}")[task]
                assert found == pytest.approx(expected, rel=1e-6)


def test_nothing_seen_is_no_figure() -> None:
    assert FiguresOfRows(ImageClassification).merged() == {}
