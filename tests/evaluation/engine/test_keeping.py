"""What runs on images keep: examples, all attacked images, and the verdict about every iterate."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hand_made import altered, flat_cell
from judged import SKIPNET, judged_cell, write_judged
from tiny_points import ROOMS, SCENE_NET, Rooms

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.progress import Observer
from lgm_bench.evaluation.engine.runner import run_cells
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.store.samples import read_examples, read_sample
from lgm_bench.metrics.iou import mean_iou
from lgm_bench.tasks.samples import ExampleCloud, SavedImage
from victims import load_victim

N, STEPS = 7, 3
CELL = judged_cell(SKIPNET, "lgm", attack="bim", eps=4.0, steps=STEPS)
TARGETED = judged_cell(SKIPNET, targeted=True)
FIRST, SECOND = "test-00000", "test-00001"
Row = dict[str, Any]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_judged(tmp_path_factory.mktemp("data"), SKIPNET, N)


class Started(Observer):
    """Notes how many samples were done before."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def cell_started(self, cell: Cell, n_cells: int, total_samples: int, done_samples: int) -> None:  # noqa: ARG002
        self.done.append(done_samples)


def run(cell: Cell, out: Path, root: Path | None, **options: Any) -> CellResult:
    results = run_cells([cell], out, data_root=root, **{"accelerator": "cpu", "batch_size": 4} | options)
    for _, error in results.failures:
        raise error
    (result,) = results
    return result


def rows_of(out: Path) -> list[Row]:
    (path,) = out.glob("*/rows.parquet")
    return pq.read_table(path).to_pylist()


def contents(out: Path, kind: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob(f"*/{kind}/*")}


def examples_of(out: Path) -> list[Any]:
    (folder,) = out.iterdir()
    return read_examples(folder)


def changed(one: SavedImage) -> list[int]:
    """+1 for each unit that the attack switched on, -1 for each that it switched off."""
    before, after = ([gate.occupancy for gate in one.gates if gate.attempt == attempt] for attempt in (0, 1))
    return [int(new) - int(old) for old, new in zip(before, after, strict=True) if old != new]


def verdict(image: torch.Tensor) -> int:
    with torch.no_grad():
        return int(load_victim(SKIPNET, "random")(image[None]).argmax())


def test_examples_are_the_first_images_as_their_rows_say(root: Path, tmp_path: Path) -> None:
    run(CELL, tmp_path / "one", root, batch_size=1)
    run(CELL, tmp_path / "all", root, batch_size=7)
    found = examples_of(tmp_path / "one")
    assert [(type(one), one.id) for one in found] == [(SavedImage, f"test-{number:05d}") for number in range(N)]
    for one, row in zip(found, rows_of(tmp_path / "one"), strict=False):
        assert (one.clean.shape, one.clean.dtype) == ((3, 32, 32), torch.float32)
        assert (int(one.label), int(one.target)) == (row["label"], -1)
        assert verdict(one.clean) == int(one.clean_prediction) == row["clean_prediction"]
        assert verdict(one.adversarial) == int(one.adversarial_prediction) == row["adversarial_prediction"]
        assert float((one.adversarial - one.clean).abs().max()) == pytest.approx(row["distance"])
    assert [row["perturbed"] for row in rows_of(tmp_path / "one")[:2]] == [False, True]
    assert [one.id for one in found if changed(one)], "an attack that changes no gate shows nothing"
    for one, row in zip(found, rows_of(tmp_path / "one"), strict=True):
        assert [int(gate.occupancy) for gate in one.gates if not gate.attempt] == row["on_before"]
        assert changed(one) == [
            int(on) or -int(off) for on, off in zip(row["off_to_on"], row["on_to_off"], strict=True) if on or off
        ]
    assert contents(tmp_path / "one", "examples") == contents(tmp_path / "all", "examples")


def test_a_targeted_example_is_of_the_first_target_that_counts(root: Path, tmp_path: Path) -> None:
    run(TARGETED, tmp_path, root, save_adversarial=True)
    rows = rows_of(tmp_path)
    for one in examples_of(tmp_path):
        own = [row for row in rows if row["id"] == one.id]
        first = next(row for row in own if row["attacked"])
        others = set(range(10)) - {int(one.clean_prediction), int(one.label)}
        assert int(one.target) == first["target"] == min(others)
        assert int(one.adversarial_prediction) == first["adversarial_prediction"]
    images = [read_sample(path, SavedImage) for path in sorted(tmp_path.glob("*/images/*"))]
    assert [one.id for one in images] == [f"test-{number:05d}" for number in range(N)]
    for one in images:
        own = [row for row in rows if row["id"] == one.id]
        assert one.target.tolist() == [row["target"] for row in own] == list(range(10))
        assert one.adversarial_prediction.tolist() == [row["adversarial_prediction"] for row in own]
        assert [verdict(image) for image in one.adversarial[:3]] == one.adversarial_prediction[:3].tolist()


def test_images_that_are_not_kept_are_attacked_again_and_only_those(root: Path, tmp_path: Path) -> None:
    events = Started()
    plain = run(CELL, tmp_path, root, observer=events)
    assert not contents(tmp_path, "images")
    run(CELL, tmp_path, root, observer=events, save_adversarial=True)
    kept = contents(tmp_path, "images")
    assert len(kept) == N
    next(tmp_path.glob(f"*/images/{SECOND}.npz")).write_bytes(kept[f"{SECOND}.npz"][:-50])
    again = run(CELL, tmp_path, root, observer=events, save_adversarial=True)
    run(CELL, tmp_path, root, observer=events, save_adversarial=True)
    assert events.done == [0, 0, N - 1, N]
    assert {name: content for name, content in contents(tmp_path, "images").items() if name in kept} == kept
    assert again.metrics == plain.metrics


def test_damaged_and_foreign_examples_are_left_out(root: Path, tmp_path: Path) -> None:
    run(CELL, tmp_path, root)
    first, second, *others = sorted(tmp_path.glob("*/examples/*"))
    for other in others:
        other.unlink()
    content = second.read_bytes()
    for damaged in (
        content[:300],
        b"",
        b"no archive",
        first.read_bytes(),
        content[:500] + b"\xff" * 40 + content[540:],
    ):
        second.write_bytes(damaged)
        assert [one.id for one in examples_of(tmp_path)] == [FIRST]
    events = Started()
    run(CELL, tmp_path, root, observer=events)
    assert events.done == [N], "an example never makes a cell run again"


def test_history_begins_with_the_clean_image_and_ends_with_the_verdict(root: Path, tmp_path: Path) -> None:
    cell = altered(CELL, history=True)
    plain = run(CELL, tmp_path / "plain", root)
    for size in (1, 7):
        assert run(cell, tmp_path / str(size), root, batch_size=size).fingerprint == plain.fingerprint
    rows = rows_of(tmp_path / "1")
    assert [row["history"] for row in rows] == [row["history"] for row in rows_of(tmp_path / "7")]
    run(cell, tmp_path / "same", root)
    assert [{**row, "history": None} for row in rows_of(tmp_path / "same")] == rows_of(tmp_path / "plain")
    assert {row["history"] for row in rows_of(tmp_path / "plain")} == {None}
    for row in rows:
        assert len(row["history"]) == (STEPS + 1 if row["attacked"] else 1)
        assert row["history"][0] == (row["clean_prediction"] == row["label"])
        assert row["history"][-1] == (row["adversarial_prediction"] == row["label"])


def test_rows_without_a_history_count_until_one_is_asked_for(root: Path, tmp_path: Path) -> None:
    events, cell = Started(), altered(CELL, history=True)
    run(CELL, tmp_path, root, observer=events)
    (path,) = tmp_path.glob("*/rows.parquet")
    run(CELL, tmp_path, root, observer=events)
    run(cell, tmp_path, root, observer=events)
    run(cell, tmp_path, root, observer=events)
    run(CELL, tmp_path, root, observer=events)
    assert events.done == [0, N, 0, N, N]
    assert None not in [row["history"] for row in rows_of(tmp_path)]
    assert pq.read_schema(path).field("history").type == pa.list_(pa.float32())
    single = altered(judged_cell(SKIPNET, "lgm"), history=True)
    for _ in range(2):
        run(single, tmp_path / "single", root, observer=events)
    assert events.done[5:] == [0, N], "a single step has no iterates, and nothing to be missed"


@pytest.mark.parametrize(("attack", "gradient", "length"), [("pointbim", "lgm", 3), ("random", "fgm", 4)])
def test_history_of_scenes_is_their_miou(tmp_path: Path, attack: str, gradient: str, length: int) -> None:
    slope = 10.0 if gradient == "lgm" else None
    run(flat_cell(SCENE_NET, ROOMS, attack, gradient, 0.03, steps=3, slope=slope), tmp_path, None)
    for row in rows_of(tmp_path):
        assert len(row["history"]) == length
        assert row["history"][0] == pytest.approx(row["clean_miou"])
        kept = row["iterate"] + (attack == "random")
        assert row["history"][kept] == pytest.approx(row["miou"])
        hits, unions = np.array(row["history_counts"]).reshape(length, 2, -1).swapaxes(0, 1)
        assert mean_iou(hits, unions) == pytest.approx(np.array(row["history"]))
    examples = examples_of(tmp_path)
    assert [type(one) for one in examples] == [ExampleCloud] * len(Rooms.sizes)
