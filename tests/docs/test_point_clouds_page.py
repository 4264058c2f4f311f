"""The example of docs/point_clouds.md runs and shows what it says, and the page's figures are the code's."""

import re
from pathlib import Path

import pytest
import torch
from documented import ROOT, blocks

from lgm_bench.leaded import LGM, StraightThrough, hard_forward
from lgm_bench.tasks.samples import SavedCloud
from lgm_bench.voxels.relation import RELATIONS

PAGE = ROOT / "docs" / "point_clouds.md"


def test_example(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network_file, example = [block for block in blocks(PAGE) if block.language == "python"]
    assert network_file.file == "my_points.py"
    names: dict[str, object] = {}
    exec(compile(example.text, str(PAGE), "exec"), names)
    assert "tensor([1.0000" in capsys.readouterr().out
    scores, victim, cloud = names["result"].scores.flatten(), names["victim"], names["cloud"]
    assert scores[0] == 1, "the labels are its predictions"
    assert scores.min() < 0.9
    assert not any("voxelization" in key for key in victim.state_dict())
    hard, _ = hard_forward(victim, cloud)
    with LGM(slope=10.0).applied_to(victim), torch.no_grad():
        assert not torch.equal(victim(cloud), hard)
    with StraightThrough(slope=10.0).applied_to(victim), torch.no_grad():
        torch.testing.assert_close(victim(cloud), hard)


def test_names() -> None:
    text = PAGE.read_text(encoding="utf-8")
    relations = re.findall(r"^\| `(\w+)`.*Eq\.", text, flags=re.MULTILINE)
    assert relations == list(RELATIONS)
    tables = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    assert [name for name in tables if name in SavedCloud._fields] == list(SavedCloud._fields)
