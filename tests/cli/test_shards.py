"""Jobs of an array through the real command line: real processes, one results folder, one table."""

import csv
from pathlib import Path

import pytest
from answers import Command
from forked import Program

SUITE = """
run: {accelerator: cpu, batch_size: 8}
suites:
  small:
    grids:
      - victims: [resnet8-mini, {name: dynconv8-mini, slopes: {fgsm: 3}}]
        attacks: fgsm
        eps: [6/255, 8/255]
        limit: 8
"""
CELLS = 6
OF_THE_MACHINE = ("finished_at", "date", "wall_time_s", "peak_memory", "peak_gpu_memory")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SUITE)
    return path


def numbers(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if key not in OF_THE_MACHINE} for row in rows]


def test_shards_at_once_end_in_the_table_of_an_unsplit_run(suite: Path, lgm_bench: Command) -> None:
    whole = lgm_bench("run", suite, "--out", "whole", "--quiet")
    assert whole.code == 0, whole.err
    command = ("run", suite, "--out", "split", "--quiet")
    jobs = [Program(*command, "--shard", f"{index}/2", folder=suite.parent) for index in (1, 2)]
    assert [job.wait() for job in jobs] == [0, 0], [job.err for job in jobs]
    for name in ("results-digits-limit8.md", "results-digits-limit8.tex"):
        assert Path("split", name).read_text() == Path("whole", name).read_text()
    assert numbers(Path("split/results-limit8.csv")) == numbers(Path("whole/results-limit8.csv"))
    assert len(numbers(Path("whole/results-limit8.csv"))) == CELLS
    everything = whole.out.replace("in whole", "in split").replace("whole/", "split/")
    assert everything in [job.out for job in jobs], "the last one shows everything"
    reports = [Path(out, "report.html").read_text() for out in ("split", "whole")]
    assert [report.count("8-mini fgsm eps") for report in reports] == [reports[1].count("8-mini fgsm eps")] * 2
    assert reports[1].count("8-mini fgsm eps") >= 2 * CELLS
    assert not list(Path("split").glob("**/*.unusable"))


def test_a_table_says_what_is_still_to_come_and_a_later_run_completes_it(suite: Path, lgm_bench: Command) -> None:
    first = lgm_bench("run", suite, "--shard", "1/3")
    assert first.code == 0, first.err
    assert "4 of 6 cells are not finished yet" in first.out
    assert "[1/2]" in first.err
    second = lgm_bench("run", suite, "--shard", "3/3", "--quiet", "--json").json
    assert (len(second["results"]), len(second["unfinished"])) == (4, 2)
    rest = lgm_bench("run", suite)
    assert rest.err.count("(from the results folder, 2") == 4
    assert "not finished yet" not in rest.out
    assert len(numbers(Path("results/results-limit8.csv"))) == CELLS


def test_what_was_computed_with_other_weights_is_not_merged(suite: Path, lgm_bench: Command) -> None:
    """A record of the same cell from a checkpoint that has since been replaced."""
    weights = suite.parent / "my.safetensors"
    own = suite.read_text().replace("victims: [resnet8-mini,", "victims: [{name: resnet8-mini, checkpoint: W},")
    suite.write_text(own.replace("W}", f"{weights}}}"))
    shipped = Path(__file__).parents[2] / "checkpoints"
    weights.write_bytes(next(shipped.glob("resnet8-mini-*.safetensors")).read_bytes())
    assert lgm_bench("run", suite, "--quiet").code == 0
    assert lgm_bench("attack", "resnet8-mini", "--checkpoint", "random", "--limit", "1").code == 0
    import torch

    from victims import load_victim
    from victims.loading import save_checkpoint

    victim = load_victim("resnet8-mini")
    with torch.no_grad():
        next(victim.network.parameters()).mul_(1.01)
    weights.write_bytes(save_checkpoint("resnet8-mini", victim, source="changed", out=suite.parent / "s").read_bytes())
    only = lgm_bench("run", suite, "--shard", "1/6", "--quiet", "--json").json
    names = [result["cell"]["victim"]["name"] for result in only["results"]]
    assert names.count("dynconv8-mini") == 4
    assert names.count("resnet8-mini") <= 1
    assert any(name.startswith("resnet8-mini") for name in only["unfinished"])


def test_a_share_without_cells_is_no_mistake(suite: Path, lgm_bench: Command) -> None:
    answer = lgm_bench("run", suite, "--shard", "9/9")
    assert answer.code == 0
    assert "6 of 6 cells are not finished yet" in answer.out
    missing = (
        suite.read_text().replace("resnet8-mini", "resnet110-cifar10").replace("dynconv8-mini", "dynconv32-cifar10")
    )
    suite.write_text(missing)
    assert lgm_bench("run", suite, "--shard", "1/2").code == 2
    assert lgm_bench("run", suite, "--shard", "1/2", "--skip-missing").code == 0
    assert lgm_bench("run", suite, "--shard", "1of2").code == 2
