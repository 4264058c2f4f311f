"""Results as a table: lines and rows against the files that they come from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from finished_cells import finished, image_rows, scene_rows
from hand_made import cell, result

import lgm_bench
from lgm_bench.errors import ResultError
from lgm_bench.evaluation.store.store import RESULT, ROWS
from lgm_bench.results import frame as frames


@pytest.fixture
def out(tmp_path: Path) -> Path:
    fell = [True, False, False, False]
    finished(tmp_path, "aa", image_rows(fell), {"victim": "net", "eps": 1.0})
    finished(tmp_path, "bb", image_rows(fell[::-1]), {"victim": "net", "gradient": "lgm", "slope": 5.0})
    matrices = np.array([[[5, 1], [2, 2]], [[4, 0], [0, 3]]])
    finished(tmp_path, "cc", scene_rows(matrices), {"victim": "rooms", "attack": "pointbim", "eps": 0.02, "steps": 5})
    return tmp_path


def test_a_line_has_what_was_run_and_what_came_of_it(out: Path) -> None:
    frame = lgm_bench.results(str(out)).set_index("fingerprint")
    assert sorted(frame.index) == ["aa", "bb", "cc"]
    assert frame.loc["bb", ["victim", "gradient", "slope", "accuracy"]].tolist() == ["net", "lgm", 5.0, 0.75]
    assert frame.loc["cc", ["eps", "eps_label", "steps"]].tolist() == [0.02, "0.02 m", 5]
    assert frame.loc["cc", "miou"] == pytest.approx((9 / 12 + 5 / 8) / 2)
    assert frame["accuracy"].isna().tolist() == frame["miou"].notna().tolist()
    for fingerprint, folder in frame["folder"].items():
        assert json.loads((Path(folder) / RESULT).read_text())["fingerprint"] == fingerprint
    assert (frame["date"] <= pd.Timestamp.now("UTC")).all()
    assert frame.pivot_table("accuracy", "victim", "gradient").loc["net"].to_dict() == {"fgm": 0.75, "lgm": 0.75}


def test_the_kept_table_is_the_one_that_is_made_and_follows_the_records(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = frames.results(out)
    with monkeypatch.context() as patched:
        patched.setattr(frames, "read_results", lambda _: pytest.fail("was read again"))
        pd.testing.assert_frame_equal(frames.results(out), made)
    record = next(out.glob(f"*-aa/{RESULT}"))
    before = record.stat().st_mtime_ns
    finished(out, "aa", image_rows([True, True, True, False]), {"victim": "net", "eps": 1.0})
    os.utime(record, ns=(1, before + 1))
    assert frames.results(out).set_index("fingerprint").loc["aa", "accuracy"] == 0.25
    record.unlink()
    assert sorted(frames.results(out)["fingerprint"]) == ["bb", "cc"]
    (out / frames.CACHE).write_bytes(b"{")
    assert sorted(frames.results(out)["fingerprint"]) == ["bb", "cc"]


def test_of_a_damaged_record_there_is_a_word_each_time(out: Path, caplog: pytest.LogCaptureFixture) -> None:
    next(out.glob(f"*-aa/{RESULT}")).write_text("{")
    for _ in range(2):
        caplog.clear()
        assert len(frames.results(out)) == 2
        assert "is damaged or of another version" in caplog.text


def test_rows_say_which_cell_they_are_of(out: Path) -> None:
    frame = frames.results(out)
    everything = lgm_bench.rows(out)
    assert len(everything) == 4 + 4 + 2
    images = everything[everything["victim"] == "net"]
    assert images.groupby("gradient")["correct"].mean().to_dict() == {"fgm": 0.75, "lgm": 0.75}
    assert images[images["success"] == True]["id"].tolist() == ["image0", "image3"]  # noqa: E712
    chosen = frames.rows(frame[frame["fingerprint"] == "cc"])
    assert chosen["id"].tolist() == ["scene0", "scene1"]
    assert "success" not in chosen
    assert frames.rows(frame[:0]).empty
    damaged = next(out.glob(f"*-cc/{ROWS}"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(ResultError, match="cannot be used"):
        frames.rows(frame)
    assert sorted(frames.results(out)["fingerprint"]) == ["aa", "bb"]


def test_one_cell_and_nothing(out: Path, tmp_path: Path) -> None:
    folder = next(out.glob("*-bb"))
    frame = frames.results(folder)
    assert frame["folder"].tolist() == [str(folder)]
    assert frames.rows(folder)["id"].tolist() == [f"image{n}" for n in range(4)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResultError, match="has no finished cells"):
        frames.results(tmp_path / "empty")


def test_the_table_is_there_before_and_after_other_imports(out: Path) -> None:
    code = (
        "import lgm_bench; a = lgm_bench.results({0!r}); import lgm_bench.results.reading;"
        "b = lgm_bench.results({0!r});"
        "assert len(a) == len(b) == 3; from lgm_bench import results, rows; assert len(results({0!r})) == 3"
    )
    subprocess.run([sys.executable, "-c", code.format(str(out))], check=True)


def test_what_the_paper_prints_stands_beside_in_the_same_unit() -> None:
    place = ("table_1", "eps=2", "resnet32-cifar10", "fgm")
    one = cell(victim="resnet32-cifar10", eps=2.0, paper=place)
    frame = frames.frame_of([result(one, change=None), result()])
    first, second = frame.to_dict("records")
    assert (first["victim"], first["eps"], first["accuracy"]) == (
        "resnet32-cifar10",
        2.0,
        0.25,
    )
    assert tuple(first[name] for name in ("table", "row", "paper_victim", "variant")) == place
    assert frames.lines_of(frame)[1]["paper_victim"] is None
    assert (second["table"], second["row"], second["variant"]) == ("results-cifar10", "fgsm eps=1 (2/255)", "fgm")
    assert first["paper_accuracy"] == pytest.approx(0.2145)
    assert np.isnan([second["paper_accuracy"], first["architecture_change"]]).all()
    assert second["architecture_change"] == 0.125
    assert frames.frame_of([]).empty
