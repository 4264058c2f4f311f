"""Today's code gives the rows that were recorded, sample by sample."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cells import guarded_suites, run_suite
from compare import compare_folder, differences
from record import condensed_folders, read_recorded


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Runs a suite of guard.yaml when it is first asked for, on data and networks that come with lgm-bench."""
    out = tmp_path_factory.mktemp("guard")

    def folder_of(suite: str) -> Path:
        folder = out / suite
        if not folder.exists():
            run_suite(suite, folder)
        return folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LGM_BENCH_CACHE", str(out / "cache"))
        patch.setenv("LGM_BENCH_CHECKPOINTS", str(out / "store"))
        yield folder_of


@pytest.mark.parametrize("suite", guarded_suites())
def test_every_sample_is_as_recorded(suite: str, results: Callable[[str], Path]) -> None:
    assert compare_folder(results(suite)) == []


def test_two_processes_give_the_rows_of_one(results: Callable[[str], Path]) -> None:
    one, two = (condensed_folders([results(suite)]) for suite in ("bim", "bim-two-processes"))
    assert two
    for key, rows in two.items():
        alone = one[key.replace("bim-two-processes", "bim")]
        assert differences(alone, rows) == []
        assert rows.select(["adversarial_prediction", "history"]) == alone.select(["adversarial_prediction", "history"])


def test_no_suite_but_these_is_recorded() -> None:
    assert {key.split(" | ")[0] for key in read_recorded()} == {*guarded_suites(), "mini"}
