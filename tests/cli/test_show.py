"""What `show` prints of cells that were really run."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from answers import TINY, Answer, Command


@pytest.fixture
def show(lgm_bench: Command, tiny_root: Path) -> Command:
    """Runs `lgm-bench show` on a folder with two cells of twelve images."""
    for gradient in ("fgm", "lgm"):
        one = ("dynconv8-cifar10", "--checkpoint", "random", "--gradient", gradient, "--eps", "16/255")
        answer = lgm_bench("attack", *one, "--data", TINY, "--data-root", tiny_root, "--accelerator", "cpu", "-q")
        assert answer.code == 0, answer.err

    def run(*arguments: object) -> Answer:
        return lgm_bench("show", "results", *arguments)

    return run


def test_a_folder_in_a_line_each_and_a_cell_in_full(show: Command) -> None:
    listed = show()
    assert listed.code == 0
    assert " ".join(listed.out.split()).count("dynconv8-cifar10 fgsm") == 2
    records = show("--json").json
    assert [record["cell"]["gradient"]["name"] for record in records] == ["fgm", "lgm"]
    for record in records:
        assert record["fingerprint"][:8] in listed.out
    one = records[1]
    full = show("lgm").out
    assert full == show(one["fingerprint"][:6]).out
    for text in (
        f"accuracy  {one['metrics']['accuracy']:>20.2%}".split(),
        [one["checkpoint_sha256"], one["data_sha256"], one["fingerprint"]],
        ["slope", f"{one['cell']['gradient']['slope']:g}", "cpu", "float32", "deterministic"],
    ):
        assert [word for word in text if word not in full] == []
    units = [line.split() for line in full.split("Adaptive units")[1].splitlines() if line.strip()[:1].isdigit()]
    change = one["units"]["per_unit"]
    assert [(unit[0], unit[4]) for unit in units] == [(str(i), f"{share:.2%}") for i, share in enumerate(change)]


def test_rows_as_table_csv_and_json(show: Command) -> None:
    record = show("fgm", "--json").json
    rows = list(csv.DictReader(io.StringIO(show("fgm", "--csv").out)))
    assert [row["id"] for row in rows] == [f"test-{number:05d}" for number in range(12)]
    assert sum(row["correct"] == "True" for row in rows) / 12 == pytest.approx(record["metrics"]["accuracy"])
    shown = show("fgm", "--rows").out
    assert [row["id"] for row in rows if row["id"] not in shown] == []
    kinds = {kind: show("fgm", "--samples", kind, "--json").json["rows"] for kind in ("fallen", "survived")}
    assert sum(map(len, kinds.values())) == record["n_attacked"]
    assert len(kinds["fallen"]) == sum(row["success"] == "True" for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dynconv8",), "'dynconv8' means 2 cells: dynconv8-cifar10-fgsm-eps16_255-fgm-"),
        (("nothing",), "there is no cell 'nothing' here; known: dynconv8"),
        (("--rows",), "show one cell"),
        (("fgm", "--samples", "survivd"), "did you mean survived?"),
    ],
)
def test_mistakes(show: Command, arguments: tuple[str, ...], message: str) -> None:
    answer = show(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


def test_no_results(lgm_bench: Command) -> None:
    answer = lgm_bench("show", "reslts")
    assert answer.code == 2
    assert "there is no results folder reslts" in answer.err


@pytest.mark.parametrize("name", ["rows.parquet", "result.json"])
def test_what_cannot_be_read_stops_a_run_and_stays(
    show: Command, lgm_bench: Command, tiny_root: Path, name: str
) -> None:
    """A folder stands for a file without permission, which root has for every file."""
    assert show().code == 0
    (path,) = Path("results").glob(f"*-lgm-*/{name}")
    path.unlink()
    path.mkdir()
    one = ("dynconv8-cifar10", "--checkpoint", "random", "--gradient", "lgm", "--eps", "16/255", "--quiet")
    again = lgm_bench("attack", *one, "--data", TINY, "--data-root", tiny_root, "--accelerator", "cpu")
    assert again.code not in (0, 1)
    assert f"{name}: Is a directory; correct its permissions" in " ".join(again.err.split())
    assert path.is_dir()


@pytest.mark.parametrize("how", ["a share of 7", "NaN", "fewer rows"])
def test_what_is_not_to_be_believed_is_refused_by_all_who_read_it(
    show: Command, lgm_bench: Command, tiny_root: Path, how: str
) -> None:
    (path,) = Path("results").glob("*-lgm-*/result.json")
    record = json.loads(path.read_text())
    if how == "fewer rows":
        rows = path.with_name("rows.parquet")
        pq.write_table(pq.read_table(rows).slice(0, 9), rows)
    else:
        record["metrics"]["accuracy"] = 7 if how == "a share of 7" else float("nan")
        path.write_text(json.dumps(record))
    for answer in (show(), show("lgm"), lgm_bench("report", "results"), lgm_bench("compare", "results")):
        assert answer.code == 2, answer.out
        assert "result.json contradicts its rows: " in answer.err
    one = ("dynconv8-cifar10", "--checkpoint", "random", "--gradient", "lgm", "--eps", "16/255", "--quiet", "--json")
    again = lgm_bench("attack", *one, "--data", TINY, "--data-root", tiny_root, "--accelerator", "cpu")
    assert again.code == 0, again.err
    assert 0 <= again.json["results"][0]["metrics"]["accuracy"] <= 1
    assert show().code == 0
