"""The example of docs/own_network.md runs, is short, and shows what it says."""

import re
from pathlib import Path

import torch

from lgm_bench import FGM, LGM, architecture

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own_network.md"


def test_example(capsys) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(code.strip().splitlines()) <= 30
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), names)
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
