import csv
import hashlib
import json
import shlex
from pathlib import Path

import pytest
from answers import TINY, Command
from tiny_cifar10 import StoppedCIFAR10

RECIPE = "objective: dynconv\nepochs: 3\nbatch_size: 16\nlearning_rate: 0.1\n"


@pytest.fixture
def command(lgm_bench: Command, tmp_path: Path, tiny_root: Path) -> tuple[str, ...]:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    here = ("--data-root", str(tiny_root), "--recipe", "recipe.yaml", "--accelerator", "cpu")
    return ("train", "dynconv8-cifar10", *here)


def test_training_stopped_and_resumed_gives_the_weights_of_one_run(
    lgm_bench: Command, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lgm_bench(*command, "--data", TINY, "--out", "whole")
    assert whole.code == 0, whole.err
    assert whole.err.count("epoch ") == 3
    assert "epoch 3/3: loss" in whole.err

    monkeypatch.setattr(StoppedCIFAR10, "pressed", False)
    stopped = (*command, "--data", "tiny_cifar10:StoppedCIFAR10", "--out", "stopped")
    first = lgm_bench(*stopped)
    assert first.code == 130
    assert "interrupted; 1 of 3 epochs are done and kept" in first.err
    assert "To go on: lgm-bench" in first.err
    assert not Path("stopped/weights.safetensors").exists()

    second = lgm_bench(*stopped)
    assert second.code == 0, second.err
    assert "resumed after epoch 1 of 3" in second.err
    assert Path("stopped/weights.safetensors").read_bytes() == Path("whole/weights.safetensors").read_bytes()
    with Path("stopped/metrics.csv").open() as file:
        assert [float(row["epoch"]) for row in csv.DictReader(file)] == [0, 1, 2]


def test_the_end_says_what_to_do_with_the_weights_and_it_works(
    lgm_bench: Command, command: tuple[str, ...], tiny_root: Path
) -> None:
    answer = lgm_bench(*command, "--data", TINY, "--quiet")
    assert answer.code == 0, answer.err
    assert answer.err == ""
    weights = "runs/dynconv8-cifar10-seed0/weights.safetensors"
    hints = [line.strip() for line in answer.out.splitlines() if line.startswith("  lgm-bench")]
    attacked, imported = (shlex.split(hint)[1:] for hint in hints)
    assert attacked[:4] == ["attack", "dynconv8-cifar10", "--data", TINY]
    assert "done before" not in answer.out
    assert "3 epochs of 50 samples of cifar10, done before" in lgm_bench(*command, "--data", TINY).out
    record = json.loads(Path("runs/dynconv8-cifar10-seed0/training.json").read_text())
    assert f"accuracy {record['epochs'][-1]['accuracy']:.2%}" in answer.out
    assert record["sha256"] == hashlib.sha256(Path(weights).read_bytes()).hexdigest()

    done = lgm_bench(*command, "--data", TINY, "--json")
    assert done.json == record | {"weights": weights}

    by_path = lgm_bench(*attacked, "--accelerator", "cpu", "--json")
    answer = lgm_bench(*imported)
    assert answer.code == 0, answer.err
    assert "  source   trained here\n  licence  not known\n" in answer.out
    attack = ("attack", "dynconv8-cifar10", "--data", TINY, "--data-root", tiny_root, "--accelerator", "cpu", "--json")
    by_name = lgm_bench(*attack)
    assert by_name.code == by_path.code == 0, by_name.err + by_path.err
    (one,), (other,) = by_path.json["results"], by_name.json["results"]
    assert one["fingerprint"] == other["fingerprint"], "the same weights are the same cell, wherever they lie"


def test_a_folder_of_another_run_is_left_alone(lgm_bench: Command, command: tuple[str, ...]) -> None:
    Path("out").mkdir()
    settings = '{"victim": "dynconv8-cifar10", "seed": 5, "recipe": {}}'
    Path("out/settings.json").write_text(settings)
    answer = lgm_bench(*command, "--data", TINY, "--out", "out")
    assert answer.code == 2
    assert "out holds a training run with another recipe, seed; choose another --out" in answer.err
    assert Path("out/settings.json").read_text() == settings


def test_a_folder_that_is_a_file(lgm_bench: Command, command: tuple[str, ...]) -> None:
    Path("out").write_text("")
    answer = lgm_bench(*command, "--data", TINY, "--out", "out")
    assert answer.code == 2
    assert "cannot write out: File exists; choose another --out" in answer.err


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("objective: dynconv\nepochs: -1\nlearning_rate: 1", "epochs: Input should be greater than 0, got -1"),
        (RECIPE + "lr: 1", "lr: Extra inputs are not permitted"),
        ("[", "recipe.yaml"),
    ],
)
def test_a_wrong_recipe(lgm_bench: Command, command: tuple[str, ...], recipe: str, message: str) -> None:
    Path("recipe.yaml").write_text(recipe)
    answer = lgm_bench(*command, "--data", TINY)
    assert answer.code == 2
    assert message in answer.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("resnet8-mini", "objective: dynconv"), "objective dynconv needs a DynConv, but this network has no masks"),
        (("resnet8-mini", "objective: skipnet"), "objective skipnet needs gates, but this network has none"),
        (("resnet8-mini", "objective: segmentation"), "objective segmentation is for networks that label points"),
        (("minkunet-s3dis-mini", "objective: cross_entropy"), "objective cross_entropy is for images and shapes"),
        (("resnet8-mini", "objective: cross_entropy", "--data", "s3dis-mini"), "takes images, and data set s3dis-mini"),
        (("resnet18-imagenet", "objective: cross_entropy"), "data set 'imagenet' cannot be trained on"),
    ],
)
def test_what_does_not_belong_together(lgm_bench: Command, words: tuple[str, ...], message: str) -> None:
    victim, objective, *data = words
    Path("recipe.yaml").write_text(f"{objective}\nepochs: 1\nlearning_rate: 0.1\nbatch_size: 2\n")
    answer = lgm_bench("train", victim, "--recipe", "recipe.yaml", "--out", "out", "--accelerator", "cpu", *data)
    assert answer.code == 2
    assert message in answer.err
    assert not Path("out").exists(), "the folder is free for the right one"
