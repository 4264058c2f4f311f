"""`lgm-bench report`, and the report at the end of `lgm-bench run`."""

from pathlib import Path

from answers import Command


def test_runs_end_with_a_report_that_can_be_made_again(lgm_bench: Command, tiny_bench: Path) -> None:
    answer = lgm_bench("run", tiny_bench, "--quiet")
    assert answer.code == 0
    assert "Report: results/report.html" in answer.out
    first = Path("results/report.html").read_text()
    again = lgm_bench("report", "results", "--out", "elsewhere/mine.html")
    assert again.code == 0
    assert again.out.splitlines() == [
        "Report: elsewhere/mine.html",
        "Tables: elsewhere/mine.md, elsewhere/mine.tex",
    ]
    second = Path("elsewhere/mine.html").read_text()
    assert "tiny_networks:Adaptive" in first
    assert "tiny_networks:Adaptive" in second
    assert "| clean |" in Path("elsewhere/mine.md").read_text()
    assert r"\begin{table*}" in Path("elsewhere/mine.tex").read_text()


def test_no_report_is_written_where_none_is_wanted(lgm_bench: Command, tiny_bench: Path) -> None:
    answer = lgm_bench("run", tiny_bench, "--quiet", "--no-report", "--json")
    assert answer.json["failures"] == []
    assert not Path("results/report.html").exists()


def test_a_folder_that_is_not_there_is_named(lgm_bench: Command) -> None:
    answer = lgm_bench("report", "nothing")
    assert (answer.code, answer.err.strip()) == (2, "error: there is no results folder nothing")


def test_no_table_takes_the_place_of_the_report(lgm_bench: Command, tiny_bench: Path) -> None:
    lgm_bench("run", tiny_bench, "--quiet", "--no-report")
    answer = lgm_bench("report", "results", "--out", "mine.md")
    assert (answer.code, Path("mine.md").exists()) == (2, False)
    assert "give the HTML file another name" in answer.err
