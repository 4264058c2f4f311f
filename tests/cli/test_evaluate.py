"""`lgm-bench evaluate` from end to end, on a miniature that needs no download."""

from pathlib import Path

import pytest
from answers import Command

from lgm_bench.attacks.standard import SCHEDULES, Schedule
from lgm_bench.attacks.standard_points import POINT_SCHEDULES, PointSchedule


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        SCHEDULES, "standard-fast", Schedule("standard-fast", 3, 1, 20, ("fgm", "lgm@6"), ("fgm",), fab=False)
    )


def test_a_victim_is_evaluated_and_read_again(lgm_bench: Command, tmp_path: Path) -> None:
    command = ("evaluate", "skipnet14-mini", "--budget", "standard-fast", "--limit", 6, "--quiet")
    answer = lgm_bench(*command, "--report", "page.html", "--eps", "6/255", "--board", "board")
    assert answer.code == 0, answer.err
    (entry,) = (tmp_path / "board").iterdir()
    assert '"limited": true' in entry.read_text(encoding="utf-8")
    assert "trained here on scikit-learn" in entry.read_text(encoding="utf-8"), "the source of its weights"
    assert "skipnet14-mini, L-infinity 6/255, standard-1, fast, 6 images" in answer.out
    assert "control: FGM with as many gradients" in answer.out
    assert "Report: page.html" in answer.out
    assert "skipnet14-mini" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (folder,) = (tmp_path / "results").iterdir()
    parts = sorted(folder.glob("parts/*"))
    assert parts
    times = [part.stat().st_mtime_ns for part in parts]
    again = lgm_bench(*command, "--json", "--eps", "6/255").json
    assert [part.stat().st_mtime_ns for part in parts] == times
    assert again["n_samples"] == sum(again["felled_by"].values()) == 6
    assert again["accuracies"]["accuracy"]["value"] <= again["accuracies"]["fgm_accuracy"]["value"]
    before, after = again["compute"]
    assert before > 0
    assert after > 0


def test_a_network_of_ones_own(lgm_bench: Command, tiny_root: Path) -> None:
    answer = lgm_bench(
        "evaluate", "tiny_networks:Adaptive", "--data", "tiny_cifar10:TinyCIFAR10", "--data-root", tiny_root, "--norm",
        "l2", "--eps", 0.5, "--budget", "standard-fast", "--limit", 3, "--quiet",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "tiny_networks:Adaptive, L2 0.5, standard-1, fast, 3 images" in answer.out


def test_a_network_on_clouds(lgm_bench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POINT_SCHEDULES, "standard-fast", PointSchedule("standard-fast", 2, ("lgm@10", "fgm"), 1))
    answer = lgm_bench(
        "evaluate", "minknet-modelnet40-mini", "--budget", "standard-fast", "--limit", 2, "--quiet", "--board", "board"
    )
    assert answer.code == 0, answer.err
    assert "minknet-modelnet40-mini, L-infinity 0.01 radii, standard-1, fast, 2 shapes" in answer.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["skipnet14-min"], "did you mean skipnet14-mini"),
        (["skipnet14-mini", "--eps", "8"], "write 8/255"),
        (["skipnet14-mini", "--eps", "x"], "eps"),
        (["skipnet14-mini", "--norm", "l1"], "linf"),
        (["skipnet14-mini", "--budget", "quick"], "standard-fast"),
        (["skipnet14-mini", "--accelerator", "mps"], "cpu"),
        (["skipnet20-cifar10"], "cifar10"),
        (["skipnet14-mini", "--norm", "l2"], "has no usual eps"),
        (["skipnet14-mini", "--reported", "43 %, Table 3"], "name one with --board"),
        (["minkunet-scannet-mini", "--limit", "1", "--norm", "l2"], "points move within cubes"),
    ],
)
def test_bad_input(lgm_bench: Command, arguments: list[str], said: str) -> None:
    answer = lgm_bench("evaluate", *arguments, "--quiet")
    assert answer.code == 2
    assert said in answer.err
