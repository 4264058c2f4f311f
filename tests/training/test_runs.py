"""Training: whatever stops a run, the resumed one ends with the weights of an uninterrupted one, bit for bit."""

import errno
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from forked import ended_by
from miniatures import write_cifar10
from safetensors.torch import load_file

from datamodules.batch import ImageBatch
from datamodules.cifar10 import CIFAR10DataModule
from datamodules.loaders import ShuffledLoader
from lgm_bench.attacks import PGD
from lgm_bench.errors import CheckpointError, ConfigError, ResultError, RunInterruptedError
from lgm_bench.leaded import Occupancy
from lgm_bench.training.callbacks import Stopwatch, read_epochs
from lgm_bench.training.runs import LAST, METRICS, RECORD, WEIGHTS, train
from victims import load_victim
from victims.training.recipe import Adversarial, Recipe

EPOCHS = 3
RECIPES = {
    "resnet20-cifar10": Recipe(objective="cross_entropy", epochs=EPOCHS, batch_size=8, learning_rate=0.05),
    "dynconv8-cifar10": Recipe(objective="dynconv", epochs=EPOCHS, batch_size=8, learning_rate=0.05),
    "skipnet20-cifar10": Recipe(
        objective="skipnet", epochs=EPOCHS, batch_size=8, learning_rate=0.05, reinforce_epochs=1
    ),
}
"""With the noise of Gumbel masks, and of gates that are sampled in the last epoch."""

DYNCONV = "dynconv8-cifar10"


class CrashError(Exception):
    """Whatever a training may die of."""


class StoppingLoader(ShuffledLoader[ImageBatch]):
    """Calls `stop` in the middle of the second epoch."""

    stop: Callable[[], None]

    def __iter__(self) -> Iterator[ImageBatch]:
        for number, batch in enumerate(super().__iter__()):
            if self.order.epoch == 1 and number == 2:
                self.stop()
            yield batch


class TinyData(CIFAR10DataModule):
    """32 images to train on in 4 batches, 8 to validate."""

    def __init__(self, root: Path, stop: Callable[[], None] | None = None) -> None:
        super().__init__(root, batch_size=8, holdout=8, verify=False)
        self.stop = stop

    def train_dataloader(self) -> ShuffledLoader[ImageBatch]:
        loader = super().train_dataloader()
        if self.stop:
            loader.__class__ = StoppingLoader
            loader.stop = self.stop
        return loader


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Sums of several threads differ in their last bits from those of the copies, which have one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cifar10(tmp_path_factory.mktemp("data"))


def run(name: str, root: Path, out: Path, stop: Callable[[], None] | None = None, **options) -> Path:
    options = {"recipe": RECIPES[name], "seed": 3} | options
    victim = load_victim(name, "random", seed=options["seed"])
    return train(victim, TinyData(root, stop), out=out, name=name, accelerator="cpu", progress=False, **options)


def crash() -> None:
    raise CrashError


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def same(a: Path, b: Path) -> bool:
    first, second = load_file(a), load_file(b)
    return list(first) == list(second) and all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.fixture(scope="module")
def uninterrupted(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the DynConv."""
    return run(DYNCONV, root, tmp_path_factory.mktemp("uninterrupted"))


@pytest.mark.parametrize("name", ["resnet20-cifar10", "skipnet20-cifar10"])
def test_resumed_after_a_crash(name: str, root: Path, tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        run(name, root, tmp_path / "stopped", crash)
    assert not (tmp_path / "stopped" / WEIGHTS).exists()
    assert same(run(name, root, tmp_path / "stopped"), run(name, root, tmp_path / "whole"))


def test_a_resumed_adversarial_run_equals_an_uninterrupted_one(root: Path, tmp_path: Path) -> None:
    recipe = RECIPES[DYNCONV].model_copy(update={"adversarial": Adversarial(gradient="lgm")})
    with pytest.raises(CrashError):
        run(DYNCONV, root, tmp_path / "stopped", crash, recipe=recipe)
    resumed, whole = (run(DYNCONV, root, tmp_path / folder, recipe=recipe) for folder in ("stopped", "whole"))
    assert same(resumed, whole)
    assert (resumed.parent / METRICS).read_bytes() == (whole.parent / METRICS).read_bytes()
    record = json.loads((whole.parent / RECORD).read_text())
    assert record["recipe"]["adversarial"]["gradient"] == "lgm"
    robust = [epoch["pgd_accuracy"] for epoch in record["epochs"]]
    assert len(robust) == EPOCHS
    assert robust[-1] == pytest.approx(accuracy_under_pgd(whole, root))


def test_accuracy_with_every_gate_on(uninterrupted: Path, root: Path) -> None:
    """In the record of the last epoch, as hooks that open every gate find it."""
    epochs = json.loads((uninterrupted.parent / RECORD).read_text())["epochs"]
    victim = load_victim(DYNCONV, uninterrupted)
    for module in victim.modules():
        if isinstance(module, Occupancy):
            module.register_forward_hook(lambda _gate, _given, occupancy: torch.ones_like(occupancy))
    data = TinyData(root)
    data.setup("fit")
    images, labels, _ = next(iter(data.val_dataloader()))
    expected = (victim(images).argmax(dim=1) == labels).double().mean().item()
    assert [epoch.get("always_on_accuracy") for epoch in epochs] == [None] * (EPOCHS - 1) + [pytest.approx(expected)]


def test_too_few_adaptive_units_are_a_warning(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, uninterrupted: Path
) -> None:
    """And not an error: the weights are those of a run whose recipe asks for none."""
    recipe = RECIPES[DYNCONV].model_copy(update={"adaptive_units": 100})
    weights = run(DYNCONV, root, tmp_path / "few", recipe=recipe)
    record = json.loads((weights.parent / RECORD).read_text())
    by_unit = record["decided"]["decided_by_image_by_unit"]
    found = sum(share >= 0.1 for share in by_unit)
    (warning,) = record["warnings"]
    assert warning.startswith(f"{found} of {len(by_unit)} units decide by the image, and the recipe asks for 100")
    assert warning in caplog.text
    assert same(weights, uninterrupted)
    assert json.loads((uninterrupted.parent / RECORD).read_text())["warnings"] == []


def accuracy_under_pgd(weights: Path, root: Path) -> float:
    """Of the eight held-out images."""
    data = TinyData(root)
    data.setup("fit")
    (images, labels, ids) = next(iter(data.val_dataloader()))
    victim = load_victim(DYNCONV, weights).to(memory_format=torch.channels_last)
    attacked = PGD(8 / 255, 2 / 255, 10).perturb(victim, images, labels, ids=ids)
    return (victim(attacked).argmax(dim=1) == labels).double().mean().item()


def test_resumed_after_ctrl_c(uninterrupted: Path, root: Path, tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(RunInterruptedError, match=r"1 of 3 epochs are .*kept"):
        run(DYNCONV, root, tmp_path, press_ctrl_c)
    assert signal.getsignal(signal.SIGINT) is handler, "a second Ctrl-C is heard again"
    assert not (tmp_path / WEIGHTS).exists()
    assert same(run(DYNCONV, root, tmp_path), uninterrupted)
    assert json.loads((tmp_path / RECORD).read_text())["resumed"] is True
    # Loss, accuracy and executed share of every epoch, those before the interruption too.
    assert (tmp_path / METRICS).read_bytes() == (uninterrupted.parent / METRICS).read_bytes()
    assert [row["epoch"] for row in read_epochs(tmp_path / METRICS)] == [0, 1, 2]


def test_resumed_after_a_kill(uninterrupted: Path, root: Path, tmp_path: Path) -> None:
    """A copy of this process that nothing can clean up after."""
    assert ended_by(lambda: run(DYNCONV, root, tmp_path, die)) == (-signal.SIGKILL, "")
    assert (tmp_path / LAST).exists()
    assert same(run(DYNCONV, root, tmp_path), uninterrupted)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_weights_and_record(uninterrupted: Path) -> None:
    victim = load_victim(DYNCONV, uninterrupted)
    assert victim.checkpoint_id == hashlib.sha256(uninterrupted.read_bytes()).hexdigest()
    assert not torch.equal(victim.network.fc.weight, load_victim(DYNCONV, "random", seed=3).network.fc.weight)
    record = json.loads((uninterrupted.parent / RECORD).read_text())
    assert (record["victim"], record["seed"], record["devices"], record["resumed"]) == (DYNCONV, 3, 1, False)
    assert record["recipe"] == RECIPES[DYNCONV].model_dump()
    assert record["sha256"] == victim.checkpoint_id
    assert len(record["epochs"]) == EPOCHS
    assert {"loss", "cross_entropy", "accuracy", "executed", "executed_units"} <= set(record["epochs"][-1])


def test_the_seed_determines_the_weights(uninterrupted: Path, root: Path, tmp_path: Path) -> None:
    torch.manual_seed(99)
    assert same(run(DYNCONV, root, tmp_path / "again"), uninterrupted)
    assert not same(run(DYNCONV, root, tmp_path / "other", seed=4), uninterrupted)


def test_a_finished_run_is_not_repeated(uninterrupted: Path, root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in uninterrupted.parent.iterdir() if path.name != "settings.json"}
    assert run(DYNCONV, root, uninterrupted.parent, crash) == uninterrupted
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (DYNCONV, {"recipe": RECIPES[DYNCONV].model_copy(update={"learning_rate": 0.1})}, "another recipe"),
        (DYNCONV, {"seed": 4}, "another seed"),
        (DYNCONV, {"devices": 2}, "another devices"),
        ("skipnet20-cifar10", {}, "another recipe, victim"),
    ],
)
def test_a_folder_keeps_to_one_run(name, options, message: str, uninterrupted: Path, root: Path) -> None:
    with pytest.raises(ConfigError, match=f"holds a training run with {message}; choose another --out"):
        run(name, root, uninterrupted.parent, **options)


def test_damaged_checkpoint_of_a_run(root: Path, tmp_path: Path) -> None:
    with pytest.raises(RunInterruptedError):
        run(DYNCONV, root, tmp_path, press_ctrl_c)
    whole = (tmp_path / LAST).read_bytes()
    for content in (b"", b"PK\x03\x04 truncated", b"404: Not Found", whole[: len(whole) // 2]):
        (tmp_path / LAST).write_bytes(content)
        with pytest.raises(CheckpointError, match=r"last\.ckpt is damaged .*delete it to train from the start"):
            run(DYNCONV, root, tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_damaged_settings_of_a_run(text: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(ResultError, match=r"settings\.json is damaged .*choose another --out"):
        run(DYNCONV, root, tmp_path)


def test_resumed_after_a_full_disk(uninterrupted: Path, root: Path, tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(ResultError, match=r"cannot write to .*No space left"):
        run(DYNCONV, root, tmp_path, lambda: patch.setattr(os, "fsync", full))
    assert not (tmp_path / WEIGHTS).exists()
    assert same(run(DYNCONV, root, tmp_path), uninterrupted)


def test_killed_before_the_record_was_written(uninterrupted: Path, root: Path, tmp_path: Path) -> None:
    for name in (LAST, METRICS, "settings.json"):
        shutil.copy(uninterrupted.parent / name, tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"half of")
    assert same(run(DYNCONV, root, tmp_path), uninterrupted)
    assert json.loads((tmp_path / RECORD).read_text())["epochs"] == read_epochs(uninterrupted.parent / METRICS)


def test_the_time_of_a_resumed_run_is_that_of_all_its_epochs() -> None:
    first, second = Stopwatch(), Stopwatch()
    first.started -= 1000
    second.load_state_dict(first.state_dict())
    assert second.seconds == pytest.approx(1000, abs=5)


def test_others_may_read_the_weights(uninterrupted: Path) -> None:
    """As they may the log: both have the permissions that the user's umask leaves."""
    assert uninterrupted.stat().st_mode == (uninterrupted.parent / METRICS).stat().st_mode
