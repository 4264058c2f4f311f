import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from finished_cells import finished, image_rows

from lgm_bench.errors import ResultError
from lgm_bench.results.reading import Finished, find_cell, located, newest_first, read_results


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three cells: FGM at two eps and LGM at one."""
    folder = tmp_path / "results"
    finished(folder, "aaaa000000000001", image_rows([True, False]), {"eps": 2.0})
    finished(folder, "aaaa000000000002", image_rows([True, True]), {"eps": 20.0})
    finished(folder, "bbbb000000000003", image_rows([False, False]), {"eps": 2.0, "gradient": "lgm", "slope": 1.0})
    return folder


def names(found: list[Finished]) -> list[str]:
    return [one.result.fingerprint[-1] for one in found]


def test_a_folder_a_cell_and_a_record_are_results(out: Path) -> None:
    found = read_results(out)
    assert names(found) == ["1", "3", "2"], "eps by eps, FGM before LGM"
    assert names(read_results(found[1].folder)) == names(read_results(found[1].folder / "result.json")) == ["3"]
    assert found[1].rows().column("correct").to_pylist() == [True, True]
    assert located([found[1].result], out) == [found[1]]


def test_the_newest_comes_first_and_what_is_gone_is_left_out(tmp_path: Path) -> None:
    old, new, gone = (tmp_path / name for name in ("old", "new", "gone"))
    for time, path in enumerate((old, new), start=1):
        path.touch()
        os.utime(path, (time, time))
    assert newest_first([old, gone, new]) == [new, old]


def test_damaged_records_are_named_and_left_out(out: Path, caplog: pytest.LogCaptureFixture) -> None:
    damaged, other = (read_results(out)[index].folder / "result.json" for index in (0, 1))
    damaged.write_text(damaged.read_text()[:100])
    other.write_text(json.dumps(json.loads(other.read_text()) | {"from_the_future": 1}))
    with caplog.at_level(logging.WARNING):
        assert names(read_results(out)) == ["2"]
    assert str(damaged) in caplog.text
    assert str(other) in caplog.text


def test_a_record_of_a_version_with_other_figures_is_left_out(out: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = read_results(out)[0].folder / "result.json"
    record = json.loads(path.read_text())
    record["metrics"].popitem()
    path.write_text(json.dumps(record))
    with caplog.at_level(logging.WARNING):
        assert names(read_results(out)) == ["3", "2"]
    assert "is damaged or of another version" in caplog.text


def test_rows_of_something_else_are_not_used(out: Path) -> None:
    first, second, _ = read_results(out)
    rows = first.folder / "rows.parquet"
    rows.write_bytes((second.folder / "rows.parquet").read_bytes())
    with pytest.raises(ResultError, match="belongs to another cell"):
        first.rows()
    record = json.loads((second.folder / "result.json").read_text()) | {"data_sha256": "00"}
    (second.folder / "result.json").write_text(json.dumps(record))
    with pytest.raises(ResultError, match="other samples"):
        read_results(second.folder)[0].rows()
    rows.unlink()
    with pytest.raises(ResultError, match="cannot be used"):
        first.rows()


def test_rows_of_versions_that_did_not_measure_memory_are_used(out: Path) -> None:
    first = read_results(out)[0]
    path = first.folder / "rows.parquet"
    table, key = pq.read_table(path), b"lgm-bench"
    about = json.loads(table.schema.metadata[key])
    del about["peak"]
    pq.write_table(table.replace_schema_metadata({key: json.dumps(about)}), path)
    assert first.rows().column("correct").to_pylist() == [False, True]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("aaaa000000000001", "1"),
        ("bbbb", "3"),
        ("lgm", "3"),
        ("eps2 fgm", "1"),
        ("EPS20", "2"),
        ("results/dynconv8-cifar10-fgsm-eps20-fgm-aaaa000000000002/", "2"),
    ],
)
def test_a_cell_is_found_by_what_tells_it(out: Path, text: str, chosen: str) -> None:
    assert names([find_cell(read_results(out), text)]) == [chosen]


def test_what_means_several_cells_or_none_lists_them(out: Path) -> None:
    found = read_results(out)
    with pytest.raises(
        ResultError, match=r"'aaaa' means 2 cells: dynconv8-cifar10-fgsm-eps2-fgm-\w+, dynconv8.*eps20-"
    ):
        find_cell(found, "aaaa")
    with pytest.raises(ResultError, match="means 3 cells"):
        find_cell(found, "dynconv8")
    with pytest.raises(ResultError, match="did you mean dynconv8-cifar10-fgsm-eps2-lgm"):
        find_cell(found, "dynconv8-cifar10-fgms-eps2-lgm-bbbb000000000003")


def test_where_there_are_no_results(out: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"no results folder .*resluts; did you mean results"):
        read_results(tmp_path / "resluts")
    with pytest.raises(ResultError, match="has no finished cells"):
        read_results(tmp_path)


def test_what_only_reads_results_does_not_wait_for_torch() -> None:
    modules = "lgm_bench.cli.views.one_result, lgm_bench.results.reading, lgm_bench.results.leaderboard.comparing"
    program = (
        f"import sys, {modules}; print(*sorted(sys.modules.keys() & {{'torch', 'matplotlib', 'sklearn', 'scipy'}}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
