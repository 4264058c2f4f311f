"""What the packages offer can be imported, is completed, and is typed."""

import importlib
from importlib.resources import files

import pytest

from lgm_bench.attacks import ATTACKS

PACKAGES = ["lgm_bench", "lgm_bench.attacks", "lgm_bench.leaded", "victims", "datamodules"]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_is_there_and_completed(name: str) -> None:
    package = importlib.import_module(name)
    offered = getattr(package, "__all__", [])
    assert sorted(set(offered)) == sorted(offered)
    assert set(offered) <= set(dir(package))
    for attribute in offered:
        assert getattr(package, attribute) is not None
    with pytest.raises(AttributeError):
        package.nothing_of_this_name  # noqa: B018


def test_every_attack_is_offered() -> None:
    attacks = importlib.import_module("lgm_bench.attacks")
    assert {target.partition(":")[2] for target in ATTACKS.values()} <= set(attacks.__all__)


@pytest.mark.parametrize("name", ["lgm_bench", "victims", "datamodules"])
def test_the_packages_are_typed(name: str) -> None:
    assert (files(name) / "py.typed").is_file()
