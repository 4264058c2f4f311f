import csv
from pathlib import Path

import pytest
from answers import TINY, Command
from tiny_points import ROOMS, SCENE_NET

from lgm_bench.cli.run import DEFAULT_SUITE, planned_cells
from lgm_bench.evaluation.cells.config import load_bench

TABLE = "results-tiny_cifar10-TinyCIFAR10"
COMPARISONS = "results/comparisons"


def test_a_suite_from_nothing_to_tables_and_again_from_the_folder(lgm_bench: Command, tiny_bench: Path) -> None:
    first = lgm_bench("run", tiny_bench)
    assert first.code == 0, first.err
    assert "[1/4] tiny_networks:Adaptive fgsm eps 2/255 FGM: 12 samples" in first.err
    assert "Measured on 12 tiny_cifar10:TinyCIFAR10 test images." in first.out
    assert "Results are in results" in first.out
    assert "Acc." in first.out
    assert "Arch. chg." not in first.out
    with Path("results/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["victim"], row["gradient"], row["slope"]) for row in rows] == [
        ("tiny_networks:Adaptive", "fgm", ""),
        ("tiny_networks:Adaptive", "lgm", "1.0"),
        ("dynconv8-cifar10", "fgm", ""),
        ("dynconv8-cifar10", "lgm", "0.5"),
    ]
    assert f"{100 * float(rows[2]['accuracy']):.2f}" in Path(f"results/{TABLE}.md").read_text()
    assert r"\toprule" in Path(f"results/{TABLE}.tex").read_text()
    assert "Against FGM, on the same samples" in first.out
    assert (
        "tiny_networks:Adaptive fgsm eps 2/255 | LGM slope 1 | accuracy | 12 |" in Path(f"{COMPARISONS}.md").read_text()
    )
    assert r"\toprule" in Path(f"{COMPARISONS}.tex").read_text()

    again = lgm_bench("run", tiny_bench)
    assert again.out == first.out
    assert again.err.count("(from the results folder, 2") == 4
    assert "Arch. chg." in lgm_bench("run", tiny_bench, "--full").out

    as_json = lgm_bench("run", "--config", tiny_bench, "--json", "--quiet")
    assert as_json.err == ""
    found = as_json.json
    assert found["failures"] == []
    assert [one["n_samples"] for one in found["comparisons"]] == [12, 12]
    left = [result["metrics"]["accuracy"] for result in found["results"]]
    assert left == [float(row["accuracy"]) for row in rows]


def test_a_narrow_terminal_breaks_lines_and_not_words(
    lgm_bench: Command, tiny_bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    answer = lgm_bench("run", tiny_bench, "--victim", "dynconv8-cifar10", "--quiet", "--no-report")
    below = answer.out.partition("Against FGM")[2]
    assert "dynconv8-cifar10" in below


def test_a_limited_run_leaves_the_full_tables_alone(lgm_bench: Command, tiny_bench: Path) -> None:
    answer = lgm_bench(
        "run", tiny_bench, "--victim", "dynconv8-cifar10", "--limit", "4", "--seed", "2", "--batch-size", "3"
    )
    assert answer.code == 0, answer.err
    assert "Measured on the first 4 tiny_cifar10:TinyCIFAR10 test images." in answer.out
    assert "seed 2" in answer.out
    assert Path("results/results-limit4.csv").is_file()
    assert not Path("results/results.csv").exists()


def test_a_failed_cell_does_not_take_the_others_with_it(lgm_bench: Command, tiny_bench: Path) -> None:
    victims = "[{name: 'tiny_networks:Broken', slopes: {fgsm: 1}}, {name: dynconv8-cifar10, checkpoint: random}]"
    change = ("--set", f"suites.tiny.grids.0.victims={victims}", "--set", "suites.tiny.grids.0.gradients=fgm")
    answer = lgm_bench("run", tiny_bench, *change)
    assert answer.code == 3
    assert "failed: tiny_networks:Broken fgsm eps 2/255 FGM: victim 'tiny_networks:Broken' cannot take" in answer.err
    assert "ValueError: no weights for torch.float32 on cpu (" in answer.err
    assert "1 cell failed" in answer.err
    assert "Traceback" not in answer.err
    assert "dynconv8-cifar10" in answer.out
    as_json = lgm_bench("run", tiny_bench, *change, "--json")
    assert as_json.code == 3
    assert len(as_json.json["results"]) == len(as_json.json["failures"]) == 1


def test_what_is_missing_stops_a_run_unless_it_may_be_left_out(lgm_bench: Command, tiny_bench: Path) -> None:
    victims = "[resnet32-cifar10, {name: dynconv8-cifar10, checkpoint: random}]"
    change = ("--set", f"suites.tiny.grids.0.victims={victims}", "--limit", "2")
    stopped = lgm_bench("run", tiny_bench, *change)
    assert stopped.code == 2
    assert "missing checkpoints" in stopped.err
    assert "  resnet32-cifar10: Get resnet32-d509ac18.th from https://github.com/akamaster" in stopped.err
    assert "    cannot run: resnet32-cifar10 fgsm eps 2/255 FGM" in stopped.err
    assert "or run the other 2 cells with --skip-missing" in stopped.err
    assert not Path("results").exists()
    assert lgm_bench("run", tiny_bench, *change, "--skip-missing").code == 0


def test_optional_victims_are_left_out_and_named(lgm_bench: Command, tiny_bench: Path) -> None:
    change = ("--set", "suites.tiny.grids.0.if_available=resnet32-cifar10", "--limit", "2")
    answer = lgm_bench("run", tiny_bench, *change)
    assert answer.code == 0
    assert "left out: resnet32-cifar10 fgsm eps 2/255 FGM" in answer.err
    assert lgm_bench("run", tiny_bench, *change, "--quiet").err == ""


def test_dry_run(lgm_bench: Command, tiny_bench: Path) -> None:
    change = ("--set", "suites.tiny.grids.0.victims.0=resnet32-cifar10", "--dry-run")
    answer = lgm_bench("run", tiny_bench, *change)
    assert answer.code == 0
    rows = [line.split() for line in answer.out.splitlines() if " eps 2/255 " in line]
    assert [(row[0], "missing" in row, "ready" in row) for row in rows] == [
        ("resnet32-cifar10", True, False),
        ("dynconv8-cifar10", False, True),
        ("dynconv8-cifar10", False, True),
    ]
    assert "3 cells, 2 ready; nothing was run" in answer.out
    assert "Estimates: " in answer.out
    assert "GFLOP/s on small images" in " ".join(answer.out.split())
    assert not Path("results").exists()


def test_dry_run_as_json(lgm_bench: Command, tiny_bench: Path) -> None:
    change = ("--set", "suites.tiny.grids.0.victims.0=resnet32-cifar10", "--dry-run", "--json", "--quiet")
    found = lgm_bench("run", tiny_bench, *change).json
    assert [cell["ready"] for cell in found["cells"]] == [False, True, True]
    for cell in found["cells"]:
        work = cell["estimate"]
        # the data are there: 12 images
        assert (work["samples"], work["attempts"], work["iterations"]) == (12, 1, 1)
        assert work["gflops"] == pytest.approx(12 * work["gflops_per_iteration"])
        assert work["seconds"] == pytest.approx(work["gflops"] / found["measured"]["gflops_per_second"]["small images"])
    assert found["total"]["cells"] == 3
    assert found["total"]["gflops"] == pytest.approx(sum(cell["estimate"]["gflops"] for cell in found["cells"]))
    assert found["tables"][TINY]["ready"] == 2


def test_a_part_of_the_paper_by_its_table(lgm_bench: Command) -> None:
    found = lgm_bench("run", "--table", "VIII", "--dry-run", "--json").json
    assert [(cell["victim"]["name"], cell["gradient"]["name"]) for cell in found["cells"]] == [
        ("minkunet34c-scannet", "fgm"),
        ("minkunet34c-scannet", "lgm"),
    ]
    assert [cell["estimate"]["samples"] for cell in found["cells"]] == [312, 312]
    both = lgm_bench(
        "run", "--suite", "ablation", "--table", "5", "--table", "7", "--dry-run", "--json", "--quiet"
    ).json
    assert set(both["tables"]) == {"table_5", "table_7"}
    wrong = lgm_bench("run", "--table", "12")
    assert wrong.code == 2
    assert "unknown table '12'; the paper has 1 (I), 2 (II)" in wrong.err


def planned(suites: list[str] | None) -> object:
    return planned_cells(None, suites, full=False, victims=None, overrides=None)


def test_without_a_suite_the_embedded_one_runs() -> None:
    assert DEFAULT_SUITE in load_bench().suites
    (_, default), (_, named) = planned(None), planned([DEFAULT_SUITE])
    assert default == named


def test_attack_runs_the_cell_that_a_suite_runs(lgm_bench: Command, tiny_bench: Path, tiny_root: Path) -> None:
    here = ("--data", TINY, "--data-root", tiny_root, "--accelerator", "cpu")
    one = ("dynconv8-cifar10", "--checkpoint", "random", "--eps", "2/255", "--gradient", "lgm", *here)
    answer = lgm_bench("attack", *one)
    assert answer.code == 0, answer.err
    assert "LGM" in answer.out
    assert not Path("results/results.csv").exists(), "one cell is no suite's table"
    suite = lgm_bench("run", tiny_bench, "--victim", "dynconv8-cifar10")
    assert suite.err.count("(from the results folder, 2") == 1


def test_attack_on_a_network_of_ones_own(lgm_bench: Command, tiny_root: Path) -> None:
    here = ("--data", TINY, "--data-root", tiny_root, "--accelerator", "cpu", "--json")
    iterative = ("--attack", "bim", "--steps", "3", "--valid-pixels", "0.5", "--targeted")
    answer = lgm_bench("attack", "tiny_networks:Adaptive", "--gradient", "lgm", "--slope", "2", *iterative, *here)
    assert answer.code == 0, answer.err
    (result,) = answer.json["results"]
    attack = result["cell"]["attack"]
    assert result["n_attempts"] == 120
    assert (attack["steps"], attack["targeted"], result["cell"]["gradient"]["slope"]) == (3, True, 2.0)
    assert 0 < result["metrics"]["executed_clean"] < 1
    broken = lgm_bench("attack", "tiny_networks:Broken", *here)
    assert broken.code == 2


def test_attack_compares_gradients_side_by_side_with_the_first(lgm_bench: Command, tiny_root: Path) -> None:
    here = ("--data", TINY, "--data-root", tiny_root, "--accelerator", "cpu")
    arms = ("--gradient", "lgm,fgm,tiny_gradients:Mine", "--slope", "2", "--attack", "bim", "--steps", "2")
    answer = lgm_bench("attack", "tiny_networks:Adaptive", *arms, *here, "--json")
    assert answer.code == 0, answer.err
    results = {result["cell"]["gradient"]["name"]: result for result in answer.json["results"]}
    assert [results[name]["cell"]["gradient"]["slope"] for name in results] == [2.0, None, 2.0]
    compared = answer.json["comparisons"]
    assert [(one["gradient"], one["against"]) for one in compared] == [
        ("FGM", "LGM slope 2"),
        ("tiny_gradients:Mine slope 2", "LGM slope 2"),
    ]
    for one, name in zip(compared, ("fgm", "tiny_gradients:Mine"), strict=True):
        assert one["difference"] == pytest.approx(
            results[name]["metrics"]["accuracy"] - results["lgm"]["metrics"]["accuracy"]
        )
    printed = lgm_bench("attack", "tiny_networks:Adaptive", *arms, *here)
    assert "arm - LGM" in printed.out or "against LGM" in printed.out


def test_a_gradient_of_ones_own_on_points(lgm_bench: Command) -> None:
    flags = ("--attack", "pointbim", "--gradient", "fgm,tiny_gradients:Mine", "--slope", "10", "--steps", "2")
    answer = lgm_bench("attack", SCENE_NET, "--data", ROOMS, "--eps", "0.03", *flags, "--accelerator", "cpu", "--json")
    assert answer.code == 0, answer.err
    voxels = [result["metrics"]["kvoxels"] for result in answer.json["results"]]
    assert voxels[1] > voxels[0], "soft occupancies take neighbouring voxels in"
