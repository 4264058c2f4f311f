from pathlib import Path

import pytest
from answers import TINY, Command

DYNCONV = ("dynconv8-cifar10", "--checkpoint", "random", "--data", TINY)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("attack", "dynconv9-cifar10"), "unknown victim 'dynconv9-cifar10'; did you mean dynconv"),
        (("attack", *DYNCONV, "--attack", "fgms"), "unknown attack 'fgms'; did you mean fgsm?"),
        (("attack", "dynconv8-cifar10", "--data", "cifra10"), "unknown data set 'cifra10'; did you mean cifar10?"),
        (("attack", *DYNCONV, "--eps", "-1"), "--eps: expected greater than or equal to 0, got '-1'"),
        (("attack", *DYNCONV, "--eps", "nan"), "--eps: expected"),
        (("attack", *DYNCONV, "--gradient", "lgm", "--slope", "0"), "--slope: expected greater than 0, got '0'"),
        (("attack", *DYNCONV, "--slope", "2"), "--slope 2 is for gradients that soften occupancies"),
        (("attack", *DYNCONV, "--protocol", "papper"), "--protocol: expected 'standard' or 'official', got 'papper'"),
        (("attack", *DYNCONV, "--mean", "1,b"), "--mean '1,b': expected one number per channel"),
        (("attack", *DYNCONV, "--valid-pixels", "5"), "--valid-pixels: expected less than or equal to 1, got 5.0"),
        (("attack", *DYNCONV, "--subset", "tset"), "--subset: expected 'test', 'train' or 'holdout', got 'tset'"),
        (
            ("attack", "resnet20-cifar10", "--gradient", "lgm"),
            "resnet20-cifar10 is not adaptive, so it has no gradient",
        ),
        (("attack", "no_such_package:Net"), "says no data set; name one"),
        (("attack", *DYNCONV, "--data-root", "nowhere"), "no CIFAR-10 in nowhere"),
        (("run", "--suite", "cifra10"), "unknown suite 'cifra10'; did you mean cifar10?"),
        (("run", "none.yaml"), "no file none.yaml"),
        (("run", "points"), "no file points; points is one of the suites mini, "),
        (("run", "a.yaml", "--config", "b.yaml"), "either as an argument or with --config"),
        (("run", "--suite", "cifar10", "--victim", "dynconv20"), "did you mean dynconv20-cifar10"),
        (("run", "--set", "suites.cifar10.gird=1"), "suites.cifar10.gird: unknown key; did you mean grids?"),
        (("search", *DYNCONV, "--slopes", "a"), "--slopes 'a': expected numbers"),
        (("search", *DYNCONV, "--slopes", "0,1"), "slopes must be above 0, got 0"),
        (("search", *DYNCONV, "--eps", "-1"), "--eps: expected greater than or equal to 0"),
        (("search", "resnet20-cifar10"), "resnet20-cifar10 is not adaptive, so it has no gradient"),
        (("train", "dynconv9-cifar10"), "unknown victim 'dynconv9-cifar10'; did you mean dynconv"),
        (("train", "resnet18-imagenet"), "no training recipe"),
        (("train", "dynconv20-cifar10", "--data-root", "nowhere"), "no CIFAR-10 in nowhere"),
        (("ls", "suits"), "unknown kind 'suits'; did you mean suites?"),
        (("import", "dynconv8-cifar10", "none.pth"), "none.pth"),
        (("import", "dynconv8-cifar10", "none.pth", "--mean", "0,0,0"), "--mean and --std belong together"),
        (("validate", "--suite", "cifra10"), "unknown suite 'cifra10'; did you mean cifar10?"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(lgm_bench: Command, arguments: tuple[str, ...], message: str) -> None:
    answer = lgm_bench(*arguments)
    assert answer.code == 2
    assert message in answer.err
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert answer.out == ""


@pytest.mark.parametrize("arguments", [("rnu",), ("run", "--limt", "1"), ("attack",), ("run", "--limit", "0")])
def test_what_does_not_parse_is_a_mistake_too(lgm_bench: Command, arguments: tuple[str, ...]) -> None:
    answer = lgm_bench(*arguments)
    assert answer.code == 2
    assert "Usage: lgm-bench" in answer.err


def test_a_missing_checkpoint_says_how_to_get_it(lgm_bench: Command, tiny_root: Path) -> None:
    answer = lgm_bench("attack", "skipnet110-cifar10", "--data", TINY, "--data-root", tiny_root)
    assert answer.code == 2
    assert "lgm-bench import skipnet110-cifar10 resnet-110-rnn-cifar10.pth.tar" in answer.err


def test_a_damaged_checkpoint_is_named(lgm_bench: Command, tiny_root: Path, tmp_path: Path) -> None:
    (tmp_path / "my.pth").write_bytes(b"no weights")
    answer = lgm_bench("attack", "dynconv8-cifar10", "--checkpoint", "my.pth", "--data", TINY, "--data-root", tiny_root)
    assert answer.code == 2
    assert "my.pth" in answer.err


def test_a_results_folder_that_is_a_file(lgm_bench: Command, tiny_root: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    answer = lgm_bench("attack", *DYNCONV, "--data-root", tiny_root, "--out", "taken", "--accelerator", "cpu")
    assert answer.code == 2
    assert "taken" in answer.err
