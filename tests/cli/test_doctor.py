from pathlib import Path

import pytest
from answers import Command


def test_what_is_here_by_section_and_the_verdict(lgm_bench: Command) -> None:
    answer = lgm_bench("doctor")
    assert answer.code == 0, answer.out
    for section in ("devices", "libraries", "sparse convolution", "folders", "data sets", "checkpoints"):
        assert f"\n{section}" in f"\n{answer.out}"
    assert "`lgm-bench run` can run here." in answer.out
    assert "cifar-10-python.tar.gz" in answer.out
    assert "no published file known; to be trained with lgm-bench train: " in " ".join(answer.out.split())


def test_what_the_suite_cannot_do_without_is_exit_code_2(
    lgm_bench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path / "file" / "cache"))
    answer = lgm_bench("doctor")
    assert answer.code == 2
    assert "`lgm-bench run` cannot run here; it needs: cache (folders); see above." in " ".join(answer.out.split())
    plain = lgm_bench("doctor", "--json")
    assert (plain.code, plain.json["ready"]) == (2, False)
    broken = [one["name"] for one in plain.json["findings"] if one["status"] == "broken"]
    assert broken == ["cache"]
