from pathlib import Path

import pytest
from hand_made import cell
from miniatures import write_cifar10

from lgm_bench.errors import UnknownNameError
from lgm_bench.evaluation.cells.suites import Planned
from lgm_bench.evaluation.readiness import look

TINY = "tiny_cifar10:TinyCIFAR10"


@pytest.fixture
def no_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(tmp_path / "none"))


def test_nothing_is_missing(tmp_path: Path) -> None:
    root = write_cifar10(tmp_path)
    assert look([Planned(cell(data=TINY, checkpoint="random"))], str(root)).gaps == []


@pytest.mark.usefixtures("no_checkpoints")
def test_each_missing_thing_is_said_once_with_all_its_cells(tmp_path: Path) -> None:
    cells = [
        cell(data=TINY, eps=eps, victim=victim)
        for eps in (1.0, 2.0)
        for victim in ("skipnet110-cifar10", "resnet32-cifar10")
    ]
    gaps = look([Planned(one, optional=one.victim.name.startswith("resnet")) for one in cells], str(tmp_path)).gaps
    assert [(len(gap.cells), gap.optional) for gap in gaps] == [(4, False), (2, False), (2, True)]
    data, skipnet, resnet = (gap.what for gap in gaps)
    assert f"no CIFAR-10 in {tmp_path}" in data
    assert "lgm-bench import skipnet110-cifar10 resnet-110-rnn-cifar10.pth.tar" in skipnet
    assert "resnet32-d509ac18.th" in resnet


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    root = write_cifar10(tmp_path)
    (gap,) = look([Planned(cell(data=TINY, checkpoint=str(tmp_path / "my.pth")))], str(root)).gaps
    assert str(tmp_path / "my.pth") in gap.what


def test_what_is_wrong_with_a_data_set_is_left_to_the_run(tmp_path: Path) -> None:
    root = write_cifar10(tmp_path)
    assert look([Planned(cell(data=TINY, checkpoint="random", subset="hold"))], str(root)).gaps == []
    with pytest.raises(UnknownNameError, match="unknown data set 'cifra10'; did you mean cifar10"):
        look([Planned(cell(data="cifra10", checkpoint="random"))], str(root))
