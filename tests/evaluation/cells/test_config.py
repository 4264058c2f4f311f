import re
from pathlib import Path

import pytest

from lgm_bench.attacks.objectives import OBJECTIVES
from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.config import load_bench, read_yaml

PLAIN = "suites: {a: {grids: [{victims: dynconv8-cifar10, attacks: fgsm, eps: 1}]}}"


def write(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text)
    return path


def test_a_short_form_is_the_long_form(tmp_path: Path) -> None:
    long = """
    suites:
      a:
        grids:
          - victims: [{name: dynconv8-cifar10}]
            attacks: [{name: fgsm, valid_pixels: [1.0]}]
            eps: [1]
            targeted: [false]
    """
    assert load_bench(write(tmp_path, PLAIN)) == load_bench(write(tmp_path, long))


def test_the_shipped_file_is_right() -> None:
    assert {"mini", "cifar10", "points", "ablation", "control", "paper"} == load_bench().suites.keys()


def test_every_loss_can_be_written(tmp_path: Path) -> None:
    for loss in OBJECTIVES:
        text = PLAIN.replace("attacks: fgsm", f"attacks: {{name: fgsm, loss: {loss}}}")
        (attack,) = load_bench(write(tmp_path, text)).suites["a"].grids[0].attacks
        assert attack.loss == loss


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAIN.replace("attacks", "attcks"), "suites.a.grids[0].attcks: unknown key; did you mean attacks?"),
        (PLAIN.replace("eps: 1", "eps: -1"), "suites.a.grids[0].eps[0]: expected greater than or equal to 0, got -1"),
        (PLAIN.replace("eps: 1", "eps: .inf"), "expected a finite number, got inf"),
        (PLAIN.replace("eps: 1", "eps: one"), "expected number, got 'one'"),
        (PLAIN.replace(", eps: 1", ""), "suites.a.grids[0].eps: missing"),
        (
            PLAIN + "\ndefaults: {protocol: papper}",
            "defaults.protocol: expected 'standard' or 'official', got 'papper'",
        ),
        (PLAIN + "\ndefaults: {seed: true}", "defaults.seed: expected integer, got True"),
        (PLAIN + "\nsuites: {}", "line 2, column 1: duplicate key 'suites'"),
        ("suites: {a: [}", "line 1, column 14"),
        ("- 1", "my.yaml: expected the keys defaults, run, suites, got"),
        ("", "my.yaml: expected the keys defaults, run, suites, got"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_bench(path)
    assert str(path) in str(caught.value)


def test_every_mistake_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, PLAIN.replace("eps: 1", "eps: -1, limit: 0"))
    with pytest.raises(ConfigError) as caught:
        load_bench(path)
    assert str(caught.value).count(str(path)) == 2


def test_exponents_are_numbers(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, "[1e-4, -2E3, 1.5, word1e4]")) == [1e-4, -2000.0, 1.5, "word1e4"]


def test_a_missing_file_and_one_of_other_bytes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file"):
        load_bench(tmp_path / "none.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read"):
        load_bench(tmp_path / "binary")
    with pytest.raises(ConfigError, match="cannot read"):
        load_bench(tmp_path)


def test_yaml_builds_no_objects(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        read_yaml(write(tmp_path, f"!!python/object/apply:os.mkdir [{tmp_path / 'made'}]"))
    assert not (tmp_path / "made").exists()


def test_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, PLAIN)
    overrides = ["defaults.seed=3", "suites.a.grids.0.eps=[2, 4]", "suites.a.grids.0.attacks=bim", "run.out=elsewhere"]
    bench = load_bench(path, overrides)
    (grid,) = bench.suites["a"].grids
    assert bench.defaults.seed == 3
    assert bench.run.out == "elsewhere"
    assert grid.eps == [2, 4]
    assert grid.attacks[0].name == "bim"


def test_checkpoints_are_found_from_the_files_folder(tmp_path: Path) -> None:
    victims = "[{name: a, checkpoint: b.pth}, {name: a, checkpoint: /c/b.pth}, {name: a, checkpoint: random}, a]"
    bench = load_bench(write(tmp_path, PLAIN.replace("victims: dynconv8-cifar10", f"victims: {victims}")))
    (grid,) = bench.suites["a"].grids
    assert [victim.checkpoint for victim in grid.victims] == [str(tmp_path / "b.pth"), "/c/b.pth", "random", None]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("defaults.seed", "expected path=value"),
        ("=1", "expected path=value"),
        ("suites.b.title=x", "suites.b: unknown key; known: a"),
        ("suites.a.grids.1.eps=1", "expected an index from 0 to 0, got '1'"),
        ("suites.a.grids.x=1", "expected an index from 0 to 0, got 'x'"),
        ("suites.a.grids.0.eps.0=1", "1, which has no key '0'"),
        ("suites.a.grids.0.eps.0.0=1", "1 has no keys"),
        ("defaults.sed=1", "defaults.sed: unknown key; did you mean seed?"),
        ("defaults.seed=[", "--set defaults.seed=["),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_bench(write(tmp_path, PLAIN), [override])
