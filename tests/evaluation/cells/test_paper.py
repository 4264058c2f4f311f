"""The packaged numbers of the paper against the reference that they were taken from, where that is at hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lgm_bench.evaluation.cells.paper import paper_tables

NAMES = {
    "skipnet110": "skipnet110-cifar10",
    "resnet110": "resnet110-cifar10",
    "dynconv32": "dynconv32-cifar10",
    "resnet32": "resnet32-cifar10",
    "skipnet101": "skipnet101-imagenet",
    "dynconv101": "dynconv101-imagenet",
    "resnet101": "resnet101-imagenet",
    "minkunet_scannet": "minkunet34c-scannet",
    "minkunet_s3dis": "minkunet34-s3dis",
    "cylinder3d_semantickitti": "cylinder3d-semantickitti",
}
SHORT = {"acc": "accuracy", "arch": "architecture_change", "suc": "success_rate"}
Numbers = dict[tuple[str, str, str, str], float]
"""(row, victim, variant, metric) to what is printed."""


@pytest.fixture(scope="module")
def reference(samples: Path) -> dict[str, Any]:
    path = (samples / "weights").resolve().parent / "reference" / "paper_tables.yaml"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def packaged(name: str) -> Numbers:
    table = paper_tables()[name]
    return {
        (row, victim, variant, metric): number
        for victim, variants in table.columns.items()
        for variant, metrics in variants.items()
        for metric, numbers in metrics.items()
        for row, number in zip(table.rows, numbers, strict=True)
    }


def by_eps(table: dict[str, Any], metric: str | None = None) -> Iterator[tuple[tuple[str, str, str, str], float]]:
    for row in table["rows"]:
        for short, variants in row.items():
            for variant, numbers in variants.items() if short != "eps" else ():
                for key, number in numbers.items() if isinstance(numbers, dict) else [(metric, numbers)]:
                    yield (f"eps={row['eps']:g}", NAMES[short], variant, SHORT.get(key, key)), number


def by_attack(table: dict[str, Any]) -> Iterator[tuple[tuple[str, str, str, str], float]]:
    for short, part in table.items():
        for row in part["rows"]:
            attack = "autopgd" if row["attack"] == "autoattack" else row["attack"]
            place = f"{attack} {row['valid_pixels']}%"
            for variant in ("fgm", "fgm_targeted", "lgm", "lgm_targeted"):
                for metric, number in zip(("success_rate", "architecture_change"), row[variant], strict=True):
                    yield (place, NAMES[short], variant.replace("_", "-"), metric), number
            for variant, key in (("fgm", "static"), ("fgm-targeted", "static_targeted")):
                yield (place, NAMES[part["static"]], variant, "success_rate"), row[key]


def of_one_victim(name: str, table: dict[str, Any]) -> Iterator[tuple[tuple[str, str, str, str], float]]:
    """Tables of which every list is a column: its variant and metric, by the keys that lead to it."""
    victim = "minknet-modelnet40" if name == "table_11" else "minkunet34c-scannet"
    rows = (
        [f"slope={slope}" for slope in table["lambda"]] if name == "table_7" else [f"eps={e:g}" for e in table["eps"]]
    )
    for keys, column in _columns(table):
        variant, metric = {
            "table_5": lambda relation: (relation, "miou"),
            "table_6": lambda metric, gradient: (gradient, metric),
            "table_7": lambda _, eps: (f"eps={eps:g}", "miou"),
            "table_11": lambda *of: ("-".join(of).replace("point_", "point"), "accuracy"),
        }[name](*keys)
        yield from (((row, victim, variant, metric), number) for row, number in zip(rows, column, strict=True))


def _columns(value: Any, *keys: Any) -> Iterator[tuple[tuple[Any, ...], list[float]]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _columns(inner, *keys, key)
    elif isinstance(value, list) and keys not in (("eps",), ("lambda",)):
        yield keys, value


@pytest.mark.parametrize("name", ["table_1", "table_3", "table_4"])
def test_tables_by_eps(reference: dict[str, Any], name: str) -> None:
    assert packaged(name) == dict(by_eps(reference[name], "miou"))
    clean = reference[name].get("clean_acc") or reference[name]["clean_miou"]
    assert paper_tables()[name].clean == {NAMES[short]: number for short, number in clean.items()}


def test_table_2(reference: dict[str, Any]) -> None:
    assert packaged("table_2") == dict(by_attack(reference["table_2"]))


@pytest.mark.parametrize("name", ["table_5", "table_6", "table_7", "table_11"])
def test_tables_of_one_victim(reference: dict[str, Any], name: str) -> None:
    assert packaged(name) == dict(of_one_victim(name, reference[name]))


@pytest.mark.parametrize("name", ["table_8", "table_9", "table_10"])
def test_tables_by_class(reference: dict[str, Any], name: str) -> None:
    table, printed = paper_tables()[name], reference[name]
    names = {"bus": "other-vehicle"}  # as the data set calls it
    assert list(table.rows) == ["mean", *(names.get(name, name) for name in printed["classes"])]
    (variants,) = table.columns.values()
    for variant, metrics in variants.items():
        assert metrics["iou"] == [printed["mean"][variant], *printed[variant]]


def test_every_column_is_as_long_as_the_rows() -> None:
    for name in paper_tables():
        assert packaged(name)


def test_what_the_paper_does_not_print_is_none() -> None:
    table = paper_tables()["table_1"]
    assert table.number("eps=3", "resnet32-cifar10", "fgm", "accuracy") is None
    assert table.number("eps=1", "resnet32-cifar10", "lgm", "accuracy") is None
    assert table.number("eps=1", "resnet20-cifar10", "fgm", "accuracy") is None
