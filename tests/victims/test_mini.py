"""The shipped miniature victims of images, on the digits: verified weights, the figures of their training records."""

import json
from pathlib import Path

import pytest
import torch
import torchvision

from datamodules import load_datamodule
from datamodules.batch import ImageBatch
from lgm_bench import architecture
from lgm_bench.leaded.recording import hard_units
from victims import checkpoint_id, load_victim, save_checkpoint
from victims.checkpoints import sha256_of, shipped_store
from victims.registry import CheckpointEntry
from victims.training.decided import Decided

OTHER_GATES = {
    "channelgate8-mini": 0.56,
    "moe14-mini": 1 / 3,
    "evit4-mini": 0.52,
    "avit4-mini": 0.56,
    "earlyexit8-mini": 0.2,
}
"""Share of the decisions that are on: one of three experts, the tokens that are kept, the images that go on."""
DATA = {
    **dict.fromkeys(OTHER_GATES, "digits"),
    **dict.fromkeys(("resnet8-mini", "skipnet14-mini", "dynconv8-mini"), "digits"),
    **dict.fromkeys(("resnet10-imagenet-mini", "skipnet10-imagenet-mini", "dynconv10-imagenet-mini"), "imagenet-mini"),
}
NAMES = tuple(DATA)
ADAPTIVE = [name for name in NAMES if not name.startswith("resnet")]
STATIC = [name for name in NAMES if name.startswith("resnet")]
MEGABYTE = 10**6


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ImageBatch]:
    """Return all test images of every data set, by the victim's name."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LGM_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        for data in set(DATA.values()):
            datamodule = load_datamodule(data, batch_size=500)
            datamodule.setup("test")
            found[data] = next(iter(datamodule.test_dataloader()))
    return {name: found[data] for name, data in DATA.items()}


def entry_of(name: str) -> CheckpointEntry:
    entry = shipped_store().ready(name)
    assert entry is not None
    return entry


def record_of(name: str) -> dict:
    return json.loads((shipped_store().folder / str(entry_of(name).training)).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_registered_file_is_the_one_that_was_trained(name: str) -> None:
    entry, record = entry_of(name), record_of(name)
    assert sha256_of(shipped_store().folder / str(entry.file)) == entry.sha256 == checkpoint_id(name)
    assert record["sha256"] == entry.sha256
    assert (record["victim"], entry.licence) == (name, "Apache-2.0")
    assert entry.source.startswith("trained here")
    assert len(record["epochs"]) == record["recipe"]["epochs"]


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_clean_accuracy_is_that_of_the_training_record(name: str, batches: dict[str, ImageBatch]) -> None:
    batch = batches[name]
    accuracy = (load_victim(name)(batch.images).argmax(1) == batch.labels).double().mean().item()
    assert accuracy == pytest.approx(record_of(name)["test"]["accuracy"], abs=0.005)
    assert accuracy > 0.95


@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_ones_execute_a_part_that_depends_on_the_image(name: str, batches: dict[str, ImageBatch]) -> None:
    decisions = architecture(load_victim(name), batches[name].images)
    shares = [unit.double().mean().item() for unit in decisions]
    assert shares == pytest.approx(record_of(name)["test"]["executed_by_unit"], abs=0.005)
    executed = sum(shares) / len(shares)
    assert executed == pytest.approx(OTHER_GATES[name], abs=0.02) if name in OTHER_GATES else 0.4 < executed < 0.8
    varying = [unit for unit in decisions if (unit != unit[:1]).any()]
    assert len(varying) >= min(2, len(decisions))


@pytest.mark.parametrize("name", OTHER_GATES)
def test_most_decisions_of_the_other_gates_depend_on_the_image(name: str, batches: dict[str, ImageBatch]) -> None:
    decided = Decided()
    decided.add(hard_units(load_victim(name), batches[name].images)[1])
    figures, stated = decided.figures(), record_of(name)["test"]
    assert figures["decided_by_image"] == pytest.approx(stated["decided_by_image"], abs=0.03)
    assert min(figures["decided_by_image_by_unit"]) > 0.5


@pytest.mark.parametrize(("name", "gates"), [("skipnet14-mini", 5), ("skipnet10-imagenet-mini", 3)])
def test_every_gate_of_the_skipnets_decides_by_the_image(name: str, gates: int, batches: dict[str, ImageBatch]) -> None:
    decisions = architecture(load_victim(name), batches[name].images)
    assert len(decisions) == gates
    assert all(0.1 < gate.double().mean() < 0.9 for gate in decisions)


@pytest.mark.parametrize("name", STATIC)
def test_static_ones_decide_nothing(name: str, batches: dict[str, ImageBatch]) -> None:
    assert architecture(load_victim(name), batches[name].images[:2]) == []


def test_they_are_small() -> None:
    sizes = [(shipped_store().folder / str(entry_of(name).file)).stat().st_size for name in NAMES]
    assert sum(sizes) < 2 * MEGABYTE


def test_the_static_imagenet_network_is_the_masked_one_without_its_masks() -> None:
    names = [
        set(load_victim(f"{family}10-imagenet-mini", "random").network.state_dict()) for family in ("resnet", "dynconv")
    ]
    assert names[0] == {name for name in names[1] if "masker" not in name}
    assert names[0] <= set(torchvision.models.resnet18().state_dict())


def test_weights_trained_by_the_user_take_their_place(store: Path) -> None:
    save_checkpoint("dynconv8-mini", load_victim("dynconv8-mini", "random", seed=3), source="test")
    assert checkpoint_id("dynconv8-mini") != entry_of("dynconv8-mini").sha256
    assert (store / "registry.yaml").is_file()
