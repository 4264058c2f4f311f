"""Victim tests write to a store of their own."""

from pathlib import Path

import pytest
import torch
from torch import nn


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


def shake(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give an untrained network batch norms and scores that matter: decisions of both kinds, no unit variance."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.0, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
    for name, parameter in network.named_parameters():
        if "control.proj.weight" in name:
            parameter.data.mul_(8)
        if "control.proj.bias" in name or ("maskconv" in name and name.endswith("bias")):
            parameter.data.zero_()
    return network
