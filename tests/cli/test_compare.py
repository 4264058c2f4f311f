"""`compare` on a real run: what is as expected, what is not, and which results may become expected numbers."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from answers import Command
from typer.testing import CliRunner

from lgm_bench.cli import app
from lgm_bench.results.leaderboard import board as boards

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SUITE = """
run: {accelerator: cpu}
suites:
  mine:
    grids:
      - victims: {name: dynconv8-mini, slopes: {fgsm: 2}}
        attacks: fgsm
        eps: 8/255
        limit: 40
      - {victims: minkunet-scannet-mini, attacks: random, eps: 0.02, limit: 1}
"""


def committed(path: Path, commit: str | None) -> None:
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"git_commit": commit}))


@pytest.fixture(scope="session")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite and its results, as if this source tree were as it was committed; they are expected."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "my.yaml").write_text(SUITE)
    results, expected, suite = (str(folder / name) for name in ("results", "board.json", "my.yaml"))
    assert CliRunner().invoke(app, ["run", suite, "--out", results, "--quiet"]).exit_code == 0
    for path in folder.glob("results/*/result.json"):
        committed(path, COMMIT)
    words = ["compare", results, "--against", expected, "--update", "--suite", "mine", "--config", suite]
    answer = CliRunner().invoke(app, words)
    assert (answer.exit_code, answer.stdout.split()[:3]) == (0, ["wrote", "3", "cells"])
    return folder


@pytest.fixture
def here(lgm_bench: Command, mine: Path, tmp_path: Path) -> Path:
    """The current folder, a copy of that."""
    shutil.copytree(mine, tmp_path, dirs_exist_ok=True)
    return tmp_path


def update(results: str = "results") -> tuple[str, ...]:
    return ("compare", results, "--against", "board.json", "--update", "--suite", "mine", "--config", "my.yaml")


def record_of(folder: Path, name: str) -> Path:
    (path,) = folder.glob(f"results/*{name}*/result.json")
    return path


def edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_results_in_double_precision_are_no_answer_to_a_board_in_single(here: Path, lgm_bench: Command) -> None:
    edit(record_of(here, "eps8_255-lgm"), lambda record: record.update(precision="float64"))
    answer = lgm_bench("compare", "results", "--against", "board.json", "--json")
    assert answer.code == 1
    assert answer.json["summary"] == "3 cells: 2 ok, 1 other precision"


def test_the_same_results_are_as_expected(here: Path, lgm_bench: Command) -> None:
    answer = lgm_bench("compare", "results", "--against", "board.json")
    assert (answer.code, answer.out.splitlines()[-1]) == (0, "3 cells: 3 ok")
    compared = lgm_bench("compare", "results", "--against", "board.json", "--json").json
    record = json.loads(record_of(here, "eps8_255-lgm").read_text())
    numbers = {number["name"]: number["got"] for number in compared["cells"][1]["numbers"]}
    assert numbers["accuracy"] == pytest.approx(record["metrics"]["accuracy"], abs=1e-6)
    assert set(numbers) == {"clean_accuracy", "accuracy", "success_rate", "architecture_change"}
    assert {number["name"] for number in compared["cells"][2]["numbers"]} == {
        "clean_miou",
        "miou",
        "architecture_change",
    }


def test_one_cell_alone(here: Path, lgm_bench: Command) -> None:
    path = record_of(here, "eps8_255-lgm")
    for one in (path, path.parent):
        answer = lgm_bench("compare", one, "--against", "board.json")
        assert (answer.code, answer.out.splitlines()[-1]) == (0, "1 cell: 1 ok")
    (path.parent / "rows.parquet").unlink()
    assert lgm_bench("compare", path, "--against", "board.json").code == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_outside_its_tolerance_names_the_samples(here: Path, lgm_bench: Command, sign: int) -> None:
    other = {"+": "x", "x": "+", "-": "+"}

    def change(content: Any) -> None:
        entry = content["cells"][1]
        accuracy = entry["numbers"]["accuracy"]
        accuracy["expected"] += sign * (accuracy["tolerance"] + 0.001)
        letters = list(entry["samples"])
        for index in (3, 7):
            letters[index] = other[letters[index]]
        entry["samples"] = "".join(letters)

    edit(here / "board.json", change)
    answer = lgm_bench("compare", "results", "--against", "board.json")
    ids = pq.read_table(record_of(here, "eps8_255-lgm").with_name("rows.parquet"))["id"].to_pylist()
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[-1] == "3 cells: 2 ok, 1 changed"
    start = lines.index("dynconv8-mini fgsm eps 8/255 LGM slope 2: 2 samples differ, the first:")
    assert [line.split()[0] for line in lines[start + 1 : start + 3]] == [ids[3], ids[7]]
    assert ("attack stronger" if sign > 0 else "attack weaker") in answer.out


def test_a_scene_that_differs_is_named(here: Path, lgm_bench: Command) -> None:
    def change(content: Any) -> None:
        content["cells"][2]["numbers"]["miou"]["tolerance"] = 0
        content["cells"][2]["numbers"]["miou"]["expected"] -= 0.1
        content["cells"][2]["scenes"][0][1] -= 0.1

    edit(here / "board.json", change)
    answer = lgm_bench("compare", "results", "--against", "board.json")
    (name,) = pq.read_table(record_of(here, "scannet").with_name("rows.parquet"))["id"].to_pylist()
    assert answer.code == 1
    assert f"  {name} mIoU was 0." in answer.out


@pytest.mark.parametrize(
    ("name", "verdict"), [("checkpoint_sha256", "other checkpoint"), ("data_sha256", "other samples")]
)
def test_other_weights_and_other_samples_have_verdicts_of_their_own(
    here: Path, lgm_bench: Command, name: str, verdict: str
) -> None:
    edit(here / "board.json", lambda content: content["cells"][0].update({name: "00"}))
    answer = lgm_bench("compare", "results", "--against", "board.json")
    assert (answer.code, answer.out.splitlines()[-1]) == (1, f"3 cells: 1 {verdict}, 2 ok")


def test_cells_of_one_side_only_are_named(here: Path, lgm_bench: Command) -> None:
    edit(here / "board.json", lambda content: content["cells"][0]["cell"]["attack"].update(eps=10 / 255))
    answer = lgm_bench("compare", "results", "--against", "board.json", "--json")
    assert answer.code == 1
    cells = {cell["verdicts"][0]: cell for cell in answer.json["cells"] if cell["verdicts"] != ["ok"]}
    assert cells["missing"]["cell"] == "dynconv8-mini fgsm eps 10/255 FGM"
    assert cells["missing"]["note"] == "measured instead: eps is 8/255 and not 10/255"
    assert cells["extra"]["cell"] == "dynconv8-mini fgsm eps 8/255 FGM"
    edit(here / "board.json", lambda content: content["cells"].pop(0))
    assert lgm_bench("compare", "results", "--against", "board.json").code == 0, "more than expected is no regression"


def test_without_a_file_the_shipped_one_with_the_cells_is_taken(
    here: Path, lgm_bench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "leaderboard").mkdir()
    monkeypatch.setattr(boards, "resource", lambda name: here / name)
    answer = lgm_bench("compare", "results")
    assert (answer.code, "there is none" in answer.err) == (2, True)
    edit(here / "board.json", lambda content: (here / "leaderboard/mine.json").write_text(json.dumps(content)))
    edit(here / "board.json", lambda content: content["cells"].pop())
    (here / "board.json").rename(here / "leaderboard/smaller.json")
    answer = lgm_bench("compare", "results", "--json")
    assert (answer.code, Path(answer.json["against"]).name) == (0, "mine.json")


def test_an_update_says_what_changed_and_leaves_the_rest_word_for_word(here: Path, lgm_bench: Command) -> None:
    answer = lgm_bench(*update())
    assert (answer.code, answer.out) == (0, "board.json stays as it is\n")

    def change(content: Any) -> None:
        content["cells"][0]["git_commit"] = "of old"
        content["cells"][1]["numbers"]["accuracy"] = {"expected": 0.0, "tolerance": 0.5}
        content["cells"].pop()

    edit(here / "board.json", change)
    answer = lgm_bench(*update()[:5])
    assert answer.code == 2, "the suite is not in the shipped bench.yaml"
    answer = lgm_bench(*update())
    record = json.loads(record_of(here, "eps8_255-lgm").read_text())
    assert answer.out.splitlines() == [
        "changed: dynconv8-mini fgsm eps 8/255 LGM slope 2: "
        f"accuracy 0.00 -> {100 * record['metrics']['accuracy']:.2f}",
        "added: minkunet-scannet-mini random eps 0.02 m",
        "wrote 3 cells to board.json",
    ]
    cells = json.loads((here / "board.json").read_text())["cells"]
    assert cells[0]["git_commit"] == "of old"
    assert cells[1]["numbers"]["accuracy"]["tolerance"] == 0.5


@pytest.mark.parametrize("commit", [f"{COMMIT}-dirty", None])
def test_an_update_refuses_source_trees_that_nobody_can_get_again(
    here: Path, lgm_bench: Command, commit: str | None
) -> None:
    before = (here / "board.json").read_bytes()
    committed(record_of(here, "eps8_255-lgm"), commit)
    answer = lgm_bench(*update())
    assert answer.code == 2
    assert "1 cell is measured by a source tree with changes or without a git commit" in answer.err
    assert "dynconv8-mini fgsm eps 8/255 LGM slope 2" in answer.err
    assert (here / "board.json").read_bytes() == before


def test_an_update_refuses_a_suite_that_is_not_whole(here: Path, lgm_bench: Command) -> None:
    shutil.rmtree(record_of(here, "eps8_255-lgm").parent)
    words = ("run", "my.yaml", "--limit", "2", "--victim", "dynconv8-mini", "--quiet")
    assert lgm_bench(*words, "--out", "results").code == 0
    answer = lgm_bench(*update())
    assert answer.code == 2
    assert "fgsm eps 8/255 LGM slope 2: limit is 2, the suite's own 40" in answer.err
    shutil.rmtree(record_of(here, "scannet").parent)
    answer = lgm_bench(*update())
    assert "minkunet-scannet-mini random eps 0.02 m: not finished" in answer.err
    assert "2 cells are without a result that counts" in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("reslts", "--against", "board.json"), "no results folder reslts; did you mean results?"),
        (("results", "--against", "bord.json"), "no leaderboard bord.json; did you mean board.json?"),
        (("results", "--against", "my.yaml"), "my.yaml is not JSON"),
        (("results", "--suite", "mine"), "--suite belongs to --update"),
        (("results", "--update"), "--update needs a file to write"),
        (("results", "--update", "--against", "new.json"), "name its suite with --suite"),
        (
            ("results", "--update", "--against", "new.json", "--suite", "mnii"),
            "unknown suite 'mnii'; did you mean mini?",
        ),
        (("results", "--update", "--against", "board.json", "--suite", "mini"), "board.json has results of suite mine"),
        ((".", "--against", "board.json"), "no finished cells"),
    ],
)
def test_mistakes(here: Path, lgm_bench: Command, words: tuple[str, ...], said: str) -> None:
    answer = lgm_bench("compare", *words)
    assert answer.code == 2
    assert said in answer.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"tolerance": ',
            '"tolerance": -',
            "cells[0].numbers.clean_accuracy.tolerance: expected greater than or equal",
        ),
        ('"expected": ', '"expcted": ', "cells[0].numbers.clean_accuracy.expcted: unknown key; did you mean expected?"),
        ('"attack": ', '"atack": ', "board.json: unknown value of a cell 'atack'; did you mean attack or data?"),
        ('"samples": "', '"samples": "?', "cells[0].samples: expected"),
        ('"n_samples": 40,', "", "cells[0].n_samples: missing"),
        ("}", "", "not JSON"),
    ],
)
def test_files_that_are_no_leaderboard(here: Path, lgm_bench: Command, old: str, new: str, said: str) -> None:
    path = here / "board.json"
    path.write_text(path.read_text().replace(old, new, 1))
    answer = lgm_bench("compare", "results", "--against", "board.json")
    assert answer.code == 2
    assert said in answer.err


def test_damaged_records_and_rows(here: Path, lgm_bench: Command) -> None:
    path = record_of(here, "eps8_255-lgm")
    edit(path, lambda record: record["metrics"].update(accuracy=0.123))
    answer = lgm_bench("compare", "results", "--against", "board.json")
    assert (answer.code, "is 0.123 in the record and" in answer.err) == (2, True)
    path.write_text(path.read_text()[:100])
    answer = lgm_bench("compare", "results", "--against", "board.json")
    assert (answer.code, answer.out.splitlines()[-1]) == (1, "3 cells: 2 ok, 1 missing")
    answer = lgm_bench("compare", path, "--against", "board.json")
    assert (answer.code, "cannot be read" in answer.err) == (2, True)


def test_the_newest_record_of_a_cell_counts(here: Path, lgm_bench: Command) -> None:
    path = record_of(here, "eps8_255-lgm")
    shutil.copytree(path.parent, here / "results" / "older")
    edit(here / "results" / "older" / "result.json", lambda record: record.update(checkpoint_sha256="00"))
    for record, seconds in ((path, 2e9), (here / "results" / "older" / "result.json", 1e9)):
        os.utime(record, (seconds, seconds))
    answer = lgm_bench("compare", "results", "--against", "board.json")
    assert (answer.code, answer.out.splitlines()[-1]) == (0, "3 cells: 3 ok")
