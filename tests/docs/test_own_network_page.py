"""The example of docs/own_network.md is short, and shows what it says."""

import re
from pathlib import Path

import pytest
import torch
from documented import ROOT, blocks

from lgm_bench import FGM, LGM, architecture

PAGE = ROOT / "docs" / "own_network.md"


def test_example(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network_file, example = [block for block in blocks(PAGE) if block.language == "python"]
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
