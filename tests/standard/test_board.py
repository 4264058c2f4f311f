"""Entries of the board: what is written, and what may replace what."""

import json
from pathlib import Path

import pytest
from attack_cases import Gated, batch_for, images

import lgm_bench
from lgm_bench.errors import ResultError
from lgm_bench.resources import resource
from lgm_bench.standard.board import Entry, enter, read_entry
from lgm_bench.standard.result import Evaluation


@pytest.fixture(scope="module")
def evaluations() -> list[Evaluation]:
    """Of eight images and of six, with a budget of their own."""
    network = Gated()
    x, labels, _ = batch_for(network, images(8))
    options = {"eps": 44 / 255, "budget": "standard-fast", "progress": False, "name": "a/b"}
    return [lgm_bench.evaluate(network, (x[:count], labels[:count]), **options) for count in (8, 6)]


def test_an_entry_has_the_figures_of_its_rows(evaluations: list[Evaluation], tmp_path: Path) -> None:
    whole, _ = evaluations
    path = enter(whole, tmp_path / "board", limited=False, source="nobody", reported="44 %, Table 1")
    assert path.name == "a_b-linf-44_255.json"
    entry = read_entry(path)
    assert entry.accuracies["accuracy"].value == whole.frame["correct"].mean()
    assert sum(entry.felled_by.values()) == entry.n_samples == 8
    assert entry.source == "nobody"
    assert read_entry(enter(whole, tmp_path / "board", limited=False, source="x")).reported == "44 %, Table 1"


def test_a_limited_run_never_replaces_a_whole_one(evaluations: list[Evaluation], tmp_path: Path) -> None:
    whole, few = evaluations
    enter(few, tmp_path, limited=True, source=None)
    enter(whole, tmp_path, limited=True, source=None)
    with pytest.raises(ResultError, match="on 8 images, and this run on 6"):
        enter(few, tmp_path, limited=True, source=None)
    path = enter(whole, tmp_path, limited=False, source=None)
    before = path.read_bytes()
    with pytest.raises(ResultError, match="with all images, and this run was not"):
        enter(whole, tmp_path, limited=True, source=None)
    assert path.read_bytes() == before


def test_a_file_that_is_no_entry_is_refused(evaluations: list[Evaluation], tmp_path: Path) -> None:
    path = enter(evaluations[0], tmp_path, limited=False, source=None)
    content = json.loads(path.read_text()) | {"accuracies": {"accuracy": {"value": 50, "interval": None}}}
    path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="is no entry of the board"):
        enter(evaluations[0], tmp_path, limited=False, source=None)


def test_the_entries_that_ship_are_entries() -> None:
    for path in (resource("leaderboard") / "standard").glob("*.json"):
        entry = read_entry(path)
        assert isinstance(entry, Entry)
        assert sum(entry.felled_by.values()) == entry.n_samples
        assert path.name.startswith(entry.network)
