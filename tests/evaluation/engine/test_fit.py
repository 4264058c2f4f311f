"""Victims, samples and attacks that do not fit each other are refused with the reason; what only looks so is taken."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hand_made import flat_cell
from rough import Few, N
from typer.testing import CliRunner

from lgm_bench.attacks import FGSM
from lgm_bench.cli import app
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.evaluation.engine.runner import run_cells
from victims import load_victim

LINEAR, EPS = "tiny_networks:Linear", 4.0


def cell(victim: str = LINEAR, data: str = "rough:Few", **options: object) -> Cell:
    return flat_cell(victim, data, "fgsm", "fgm", EPS, checkpoint="random", **options)


def refused(of: Cell, out: Path) -> str:
    results = run_cells([of], out, accelerator="cpu")
    ((_, error),) = results.failures
    assert type(error).__module__ == "lgm_bench.errors"
    return str(error)


@pytest.mark.parametrize(
    ("victim", "data", "reason"),
    [
        ("rough:TwoOutputs", "rough:Few", "the victim returned a tuple, expected one tensor of logits"),
        ("rough:NoGradient", "rough:Few", r"the victim's logits have no gradient: .*torch\.no_grad"),
        (LINEAR, "rough:OffByOne", "class 10 is out of range"),
        (LINEAR, "rough:Unordered", r"give its loader sampler=self\.test_sampler\(\)"),
        (LINEAR, "rough:Whole", "Whole yields a Tensor; its test_dataloader has to yield inputs, labels and ids"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(tmp_path: Path, victim: str, data: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        raise ConfigError(refused(cell(victim, data), tmp_path))


def test_attack_leaves_with_the_code_of_bad_input(tmp_path: Path) -> None:
    options = ["--data", "rough:OffByOne", "--attack", "fgsm", "--gradient", "fgm", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, ["attack", LINEAR, "--checkpoint", "random", *options])
    assert done.exit_code == 2
    assert "class 10 is out of range" in done.output


@pytest.mark.parametrize("data", ["rough:Few", "rough:Narrow"])
def test_pairs_of_numpy_types_are_attacked_as_ours_are(tmp_path: Path, data: str) -> None:
    (result,) = run_cells([cell(data=data)], tmp_path, accelerator="cpu", batch_size=4)
    (path,) = tmp_path.glob("*/rows.parquet")
    rows = pq.read_table(path).to_pylist()
    assert [row["id"] for row in rows] == [f"few-{number}" for number in range(N)]
    victim, few = load_victim(LINEAR, "random"), Few()
    after = victim(FGSM(EPS * 2 / 255, bounds=(-1.0, 1.0)).perturb(victim, few.images, few.labels)).argmax(1)
    expected = (victim(few.images).argmax(1) == few.labels) & (after == few.labels)
    assert [row["correct"] for row in rows] == expected.tolist()
    assert result.left == expected.double().mean().item()


@pytest.mark.parametrize(
    ("victim", "data", "attack"),
    [("minkunet14-scannet", "s3dis", "pointbim"), ("skipnet20-cifar10", "imagenet", "fgsm")],
)
@pytest.mark.parametrize("checkpoint", [None, "random"])
def test_a_victim_of_other_classes_is_refused_before_anything_is_read(
    victim: str, data: str, attack: str, checkpoint: str | None
) -> None:
    other = flat_cell(victim, data, attack, "fgm", 1.0, checkpoint=checkpoint)
    own = victim.rpartition("-")[2]
    with pytest.raises(ConfigError, match=f"classes of '{own}', and data set '{data}' has .* other classes"):
        resolved(other)


def test_retrained_weights_may_be_for_as_many_other_classes() -> None:
    digits = flat_cell("skipnet20-cifar10", "digits", "fgsm", "fgm", 4.0)
    with pytest.raises(ConfigError, match="classes of 'cifar10'"):
        resolved(digits)
    resolved(digits.replace(victim={"checkpoint": "mine.pth"}))


def test_twins_of_a_data_set_have_its_classes() -> None:
    resolved(flat_cell("minkunet14-scannet", "rooms-scannet", "pointbim", "fgm", 0.02))
