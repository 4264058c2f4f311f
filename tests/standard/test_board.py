"""Entries of the board: what is written, and what may replace what."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from attack_cases import Gated, batch_for, images

import lgm_bench
from lgm_bench.errors import ConfigError, ResultError
from lgm_bench.resources import resource
from lgm_bench.standard.board import Reported, enter, read_board, read_entry
from lgm_bench.standard.result import Evaluation
from victims.checkpoints import shipped_store

SHIPPED = sorted((resource("leaderboard") / "standard").glob("*.json"))
ORIGIN = {"data": "digits", "source": "nobody"}


@pytest.fixture(scope="module")
def evaluations() -> list[Evaluation]:
    """Of eight images and of six, with a budget of their own."""
    network = Gated()
    x, labels, _ = batch_for(network, images(8))
    options = {"eps": 44 / 255, "budget": "standard-fast", "progress": False, "name": "a/b"}
    return [lgm_bench.evaluate(network, (x[:count], labels[:count]), **options) for count in (8, 6)]


def test_an_entry_has_the_figures_of_its_rows(evaluations: list[Evaluation], tmp_path: Path) -> None:
    whole, _ = evaluations
    reported = Reported.parse("44 %, Table 1")
    path = enter(whole, tmp_path / "board", limited=False, reported=reported, **ORIGIN)
    assert path.name == "a_b-linf-44_255.json"
    entry = read_entry(path)
    assert entry.accuracies["accuracy"].value == whole.frame["correct"].mean()
    assert sum(entry.felled_by.values()) == entry.n_samples == 8
    assert entry.source == "nobody"
    assert read_entry(enter(whole, tmp_path / "board", limited=False, **ORIGIN)).reported == reported
    assert read_board(tmp_path / "board") == [entry]


def test_a_limited_run_never_replaces_a_whole_one(evaluations: list[Evaluation], tmp_path: Path) -> None:
    whole, few = evaluations
    enter(few, tmp_path, limited=True, **ORIGIN)
    enter(whole, tmp_path, limited=True, **ORIGIN)
    with pytest.raises(ResultError, match="on 8 images, and this run on 6"):
        enter(few, tmp_path, limited=True, **ORIGIN)
    path = enter(whole, tmp_path, limited=False, **ORIGIN)
    before = path.read_bytes()
    with pytest.raises(ResultError, match="with all images, and this run was not"):
        enter(whole, tmp_path, limited=True, **ORIGIN)
    assert path.read_bytes() == before


def test_another_data_set_or_network_never_replaces_an_entry(evaluations: list[Evaluation], tmp_path: Path) -> None:
    whole, few = evaluations
    path = enter(whole, tmp_path, limited=False, **ORIGIN)
    before = path.read_bytes()
    with pytest.raises(ResultError, match=r"of a/b on digits, and this run was of a/b on digits, holdout"):
        enter(whole, tmp_path, limited=False, **ORIGIN | {"data": "digits, holdout"})
    other = replace(few, setting=few.setting._replace(network="a_b"))  # the same name of the file
    with pytest.raises(ResultError, match="this run was of a_b on digits"):
        enter(other, tmp_path, limited=False, **ORIGIN)
    assert path.read_bytes() == before


def test_a_file_that_is_no_entry_is_refused(evaluations: list[Evaluation], tmp_path: Path) -> None:
    path = enter(evaluations[0], tmp_path, limited=False, **ORIGIN)
    content = json.loads(path.read_text()) | {"accuracies": {"accuracy": {"value": 50, "interval": None}}}
    path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="is no entry of the board"):
        enter(evaluations[0], tmp_path, limited=False, **ORIGIN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda entry: entry["felled_by"].update(square=1), "n_samples is 8, and other numbers say 9"),
        (lambda entry: entry["accuracies"]["accuracy"].update(value=0.123), "accuracy is 0.123"),
        (lambda entry: entry["accuracies"]["clean_accuracy"].update(value=0.0), "clean_accuracy is 0"),
        (lambda entry: entry["accuracies"]["control_accuracy"].update(value=1.0), "gain is "),
        (lambda entry: entry["accuracies"].pop("fgm_accuracy"), "figures of images are clean_accuracy, fgm_accuracy"),
        (lambda entry: entry.update(network="c"), "belongs into c-linf-44_255.json; rename it"),
        (lambda entry: entry.update(opinion="good"), "opinion"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(
    change: Callable[[dict[str, Any]], None], said: str, evaluations: list[Evaluation], tmp_path: Path
) -> None:
    path = enter(evaluations[0], tmp_path, limited=False, **ORIGIN)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match=said):
        read_entry(path)


def test_a_file_says_what_its_samples_are(evaluations: list[Evaluation], tmp_path: Path) -> None:
    path = enter(evaluations[0], tmp_path, limited=False, **ORIGIN)
    content = json.loads(path.read_text())
    assert content.pop("sample") == "image"
    for wrong in (content, content | {"sample": "room"}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ResultError, match="sample"):
            read_entry(path)


def test_what_was_reported_is_a_percentage_and_its_place() -> None:
    assert Reported.parse("43.2 %, Table 3, row 2") == Reported(accuracy=0.432, place="Table 3, row 2")
    for text in ("43.2", "0.4, Table 3", "430 %, Table 3", "4.3.2 %, Table 3"):
        with pytest.raises(ConfigError, match="a percentage and its place"):
            Reported.parse(text)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_entries_that_ship(path: Path) -> None:
    """Every file that is proposed for the board has to pass this."""
    entry = read_entry(path)
    assert entry.source, "an entry says who published the weights"
    assert entry.commit, "an entry says with which commit it was measured"
    assert not entry.commit.endswith("-dirty"), "an entry is measured with committed code"
    registered = [one.sha256 for one in shipped_store().entries() if one.victim == entry.network and one.sha256]
    if registered:
        assert entry.checkpoint_sha256 in registered, "an entry of a network that ships is of the weights that ship"


def test_a_board_without_entries_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="lgm-bench evaluate VICTIM --board"):
        read_board(tmp_path)
