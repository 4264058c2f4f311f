"""Victims, data and checkpoints that do not fit: an error of ours with exit code 2, since no second try mends it."""

from pathlib import Path

import pytest
import torch
from answers import Command

NETWORKS = """
from torch import nn


class Right(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3 * 32 * 32, 10)

    def forward(self, x):
        return self.linear(x.flatten(1))


class Pair(Right):
    def forward(self, x):
        return super().forward(x), 1


class Few(Right):
    def forward(self, x):
        return super().forward(x)[:, :1]


class Raises(Right):
    def forward(self, x):
        raise RuntimeError("no such layer")
"""
DATA = """
from datamodules import DATAMODULES
from lgm_bench.registry import resolve

Digits = resolve("data set", "digits", DATAMODULES)


class Changed(Digits):
    def test_dataloader(self):
        for batch in super().test_dataloader():
            yield self.changed(batch)


class Whole(Changed):
    def changed(self, batch):
        return batch._replace(images=(255 * batch.images).byte())


class Shifted(Changed):
    def changed(self, batch):
        return batch._replace(labels=batch.labels + 10)
"""


@pytest.fixture(autouse=True)
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "misfit_networks.py").write_text(NETWORKS)
    (tmp_path / "misfit_data.py").write_text(DATA)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("victim", "data", "words"),
    [
        ("misfit_networks:Pair", "digits", "returned a tuple, expected one tensor of logits"),
        ("misfit_networks:Few", "digits", "the victim has 1 classes"),
        ("misfit_networks:Raises", "digits", "cannot take samples of data set 'digits': RuntimeError: no such layer ("),
        ("resnet8-mini", "misfit_data:Whole", "images must be a floating point tensor of shape"),
        ("resnet8-mini", "misfit_data:Shifted", "is out of range: the victim has 10 classes"),
    ],
)
def test_victims_and_data(lgm_bench: Command, victim: str, data: str, words: str) -> None:
    answer = lgm_bench("attack", victim, "--data", data, "--limit", 4, "--accelerator", "cpu")
    assert answer.code == 2, answer.err
    assert words in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({1: torch.ones(2)}, "holds keys that are no names: 1"),
        ({"conv.weight": torch.eye(2).to_sparse()}, "holds entries that are no plain tensors: conv.weight"),
        ({"conv.weight": torch.empty(2, device="meta")}, "holds entries that are no plain tensors: conv.weight"),
    ],
)
def test_checkpoints(tmp_path: Path, lgm_bench: Command, state: dict[object, torch.Tensor], words: str) -> None:
    torch.save(state, tmp_path / "my.pth")
    answer = lgm_bench("attack", "resnet8-mini", "--checkpoint", "my.pth", "--accelerator", "cpu")
    assert answer.code == 2, answer.err
    assert words in answer.err
