"""What a finished result stands on changes: the number of before is not served again."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from answers import TINY, Answer, Command
from miniatures import CIFAR_FOLDER, dump, write_cifar10
from street_and_shape_files import write_text_shapes

NETWORK = """
import torch
from own_threshold import THRESHOLD

class Net(torch.nn.Module):
    def forward(self, images):
        on = images.mean((1, 2, 3)) > THRESHOLD
        return torch.nn.functional.one_hot(on.long(), 10) * images.sum((1, 2, 3))[:, None]
"""
ATTACK = """
from lgm_bench.attacks import FGSM

class Half(FGSM):
    factor = 1
"""
DATA = """
from tiny_cifar10 import TinyCIFAR10

class Own(TinyCIFAR10):
    shift = 0

    def _read(self, train):
        pixels, labels = super()._read(train)
        return pixels, (labels + self.shift) % 10
"""


@pytest.fixture
def fresh_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forgets the modules that lie in the current folder, as a new process has."""
    monkeypatch.syspath_prepend(tmp_path)

    def forget() -> None:
        for name in [name for name in sys.modules if name.startswith("own_")]:
            del sys.modules[name]

    return forget


@pytest.fixture
def attack(lgm_bench: Command, tmp_path: Path, fresh_modules: Callable[[], None]) -> Command:
    Path("own_net.py").write_text(NETWORK)
    Path("own_threshold.py").write_text("THRESHOLD = 0.9\n")
    Path("own_attack.py").write_text(ATTACK)
    Path("own_data.py").write_text(DATA)
    write_cifar10(tmp_path / "data", test=12)

    def run(*flags: object, victim: str = "own_net:Net", data: str = TINY) -> Answer:
        fresh_modules()
        fixed = ("--data-root", tmp_path / "data", "--accelerator", "cpu", "--eps", "1/255")
        answer = lgm_bench("attack", victim, "--data", data, *fixed, *flags)
        assert answer.code == 0, answer.err
        return answer

    yield run
    fresh_modules()


def edit(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def edit_batch(change: Callable[[dict[str, Any]], None]) -> None:
    path = Path("data", CIFAR_FOLDER, "test_batch")
    batch = pickle.loads(path.read_bytes())
    change(batch)
    dump(batch, path)


def is_recomputed(answer: Answer) -> bool:
    assert ("from the results folder" in answer.err) != ("[1/1]" in answer.err and "changed since" in answer.err)
    return "from the results folder" not in answer.err


CHANGES: dict[str, tuple[Callable[[], None], str]] = {
    "network": (lambda: edit("own_net.py", "sum((1", "amax((1"), "own_net.py"),
    "what it imports": (lambda: edit("own_threshold.py", "0.9", "0.1"), "own_threshold.py"),
    "attack": (lambda: edit("own_attack.py", "factor = 1", "factor = 2"), "own_attack.py"),
    "data set": (lambda: edit("own_data.py", "shift = 0", "shift = 1"), "own_data.py, the samples of own_data:Own"),
    "labels": (
        lambda: edit_batch(lambda batch: batch.update(labels=batch["labels"][::-1])),
        "the samples of own_data:Own",
    ),
    "pixels": (lambda: edit_batch(lambda batch: batch["data"].sort()), "the samples of own_data:Own"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_file_is_named_and_the_cell_computed_again(attack: Command, what: str) -> None:
    flags = ("--attack", "own_attack:Half")
    before = attack(*flags, data="own_data:Own")
    assert not is_recomputed(attack(*flags, data="own_data:Own"))
    change, name = CHANGES[what]
    change()
    after = attack(*flags, data="own_data:Own")
    assert is_recomputed(after)
    assert f"own_net:Net own_attack:Half eps 1/255 FGM: {name} changed since; recomputing\n" in after.err
    assert "changed since" not in before.err
    assert not is_recomputed(attack(*flags, data="own_data:Own"))


def test_what_is_put_right_measures_what_is_right(attack: Command) -> None:
    def clean() -> float:
        (result,) = attack("--json").json["results"]
        return float(result["metrics"]["clean_accuracy"])

    def relabel(shift: int) -> None:
        def change(batch: dict[str, Any]) -> None:
            on = np.asarray(batch["data"]).mean(1) / 255 > 0.5
            batch["labels"] = [(int(value) + shift) % 10 for value in on]

        edit_batch(change)

    edit("own_threshold.py", "0.9", "0.5")
    relabel(1)
    wrong = clean()
    relabel(0)
    assert (wrong, clean()) == (0.0, 1.0)


def test_a_shape_replaced_under_its_name(lgm_bench: Command, tmp_path: Path) -> None:
    write_text_shapes(tmp_path / "shapes", ["bed_0516"], seed=0)
    flags = ("minknet-small-modelnet40", "--checkpoint", "random", "--data-root", "shapes", "--eps", "0.01")
    run = ("attack", *flags, "--attack", "random", "--accelerator", "cpu")
    assert lgm_bench(*run).code == 0
    assert not is_recomputed(lgm_bench(*run))
    write_text_shapes(tmp_path / "shapes", ["bed_0516"], seed=1)
    assert is_recomputed(lgm_bench(*run))


def test_a_record_tells_from_when_it_is_and_fresh_computes_it_again(attack: Command) -> None:
    attack()
    (record,) = Path("results").glob("*/result.json")
    (rows,) = Path("results").glob("*/rows.parquet")
    edit(str(record), '"finished_at": "2', '"finished_at": "1')
    old, when = record.read_text(), record.read_text().partition('"finished_at": "')[2][:16]
    assert f"(from the results folder, {when.replace('T', ' ')})" in attack().err
    before = pq.read_table(rows)
    answer = attack("--fresh")
    assert "[1/1] own_net:Net fgsm eps 1/255 FGM: 12 samples\n" in answer.err
    assert "from the results folder" not in answer.err
    assert record.read_text() != old
    assert sorted(path.name for path in record.parent.iterdir()) == [
        "checks.json",
        "examples",
        "lock",
        "result.json",
        "rows.parquet",
    ]
    assert pq.read_table(rows).equals(before)
