"""The example of docs/own_network.md is short, and shows what it says."""

import re
from pathlib import Path

import pytest
import torch
from documented import ROOT, blocks

from lgm_bench import FGM, LGM, architecture
from lgm_bench.leaded import recorded_calls

PAGE = ROOT / "docs" / "own_network.md"


def test_example(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network_file, example, gates, _, attack = [block for block in blocks(PAGE) if block.language == "python"]
    assert network_file.file == "my_networks.py"
    assert len(network_file.lines) + len(example.lines) <= 50
    names: dict[str, object] = {}
    exec(compile(example.text, str(PAGE), "exec"), names)
    fgm, lgm = re.findall(r"\) tensor\(([\d.e+-]+)\)", capsys.readouterr().out)
    assert fgm != lgm

    network, images = names["net"], names["images"]
    first, second = architecture(network, images)
    assert first.shape == second.shape == (4, 1)
    assert first.any()
    assert not second.all()
    assert not any("occupancy" in key for key in network.state_dict())
    with LGM(slope=5.0).applied_to(network):
        leaded = network(images)
    assert torch.equal(names["leaded"](images), leaded)
    with FGM().applied_to(network):
        assert torch.equal(network(images), names["leaded"].victim(images))

    others: dict[str, object] = {}
    exec(compile(gates.text, str(PAGE), "exec"), others)
    told = capsys.readouterr().out
    assert all(f"{unit}  " in told for unit in ("tokens", "router", "halting", "exits"))
    assert "problem:" not in told

    exec(compile(attack.text, str(PAGE), "exec"), names)
    assert scores(names["net"], names["busy"]) > scores(names["net"], names["images"]), "gates are nearer to being open"
    assert bool(((names["near"] - names["images"]).flatten(1).norm(dim=1) <= 0.5 + 1e-6).all())


def scores(network: torch.nn.Module, images: torch.Tensor) -> float:
    """Return the sum of what all gates decide by."""
    with recorded_calls(network) as calls, torch.no_grad():
        network(images)
    return sum(call.score.sum().item() for call in calls)
