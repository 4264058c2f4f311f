import io
from pathlib import Path

import pytest
from miniatures import write_cifar10
from rich.console import Console

from datamodules import DATAMODULES
from lgm_bench.attacks import ATTACKS
from lgm_bench.cli.inventory import KINDS, as_table
from lgm_bench.leaded import GRADIENTS
from victims.names import victim_names


@pytest.fixture(autouse=True)
def no_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LGM_BENCH_CHECKPOINTS", str(tmp_path / "none"))
    monkeypatch.delenv("LGM_BENCH_DATA", raising=False)


def test_everything_registered_is_listed() -> None:
    for kind, names in (
        ("victims", victim_names()),
        ("data", DATAMODULES),
        ("attacks", ATTACKS),
        ("gradients", GRADIENTS),
    ):
        assert [item["name"] for item in KINDS[kind](None)] == list(names)


def test_victims_say_what_they_lack() -> None:
    by_name = {item["name"]: item for item in KINDS["victims"](None)}
    resnet = by_name["resnet32-cifar10"]
    assert (resnet["ready"], resnet["kind"]) == (False, "static")
    assert "resnet32-d509ac18.th" in resnet["checkpoint"]
    assert by_name["skipnet110-cifar10"]["kind"] == "adaptive"


def test_data_is_ready_where_its_folder_is(tmp_path: Path) -> None:
    ready = {item["name"]: item["ready"] for item in KINDS["data"](str(tmp_path))}
    assert not ready["cifar10"]
    assert not ready["imagenet"]
    write_cifar10(tmp_path / "cifar10")
    found = {item["name"]: item for item in KINDS["data"](str(tmp_path))}
    assert found["cifar10"] == {"name": "cifar10", "ready": True, "folder": str(tmp_path / "cifar10")}
    assert not found["imagenet"]["ready"], "the folder of the one is not the folder of the other"


def test_suites_count_their_cells() -> None:
    suite = next(item for item in KINDS["suites"](None) if item["name"] == "paper")
    assert (suite["ready"], suite["cells"], suite["cells_ready"], suite["cells_full"]) == (False, 219, 0, 219)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_show_every_name_in_full(kind: str) -> None:
    items = KINDS[kind](None)
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(as_table(kind, items))
    text = console.export_text()
    assert all(item["name"] in text for item in items)


def test_attacks_say_what_they_change() -> None:
    inputs = {item["name"]: item["inputs"] for item in KINDS["attacks"](None)}
    assert (inputs["fgsm"], inputs["autoattack"], inputs["random"], inputs["knnpert"]) == (
        "images", "images", "points", "points"
    )  # fmt: skip
