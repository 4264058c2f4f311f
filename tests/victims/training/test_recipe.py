"""Recipes: read strictly, and the shipped ones fit their victims."""

import re
from pathlib import Path

import pytest

from lgm_bench.errors import ConfigError
from victims.names import VICTIMS
from victims.training.recipe import RECIPES, load_recipe

FAMILIES = {
    r"resnet\d+-cifar10": "resnet-cifar10",
    r"skipnet\d+-cifar10": "skipnet-cifar10",
    r"dynconv\d+-cifar10": "dynconv-cifar10",
    r"minkunet\d+c?-scannet": "minkunet-scannet",
    r"minkunet\d+-s3dis": "minkunet-s3dis",
}
OBJECTIVES = {
    "dynconv": "dynconv",
    **dict.fromkeys(("channelgate", "moe", "avit", "earlyexit"), "gated"),
    "skipnet": "skipnet",
    "scannet": "segmentation",
    "s3dis": "segmentation",
    "semantickitti": "segmentation",
}


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_shipped_recipes(name: str) -> None:
    recipe = load_recipe(name, RECIPES / f"{name}.yaml")
    assert name in VICTIMS or name in set(FAMILIES.values())
    assert recipe.objective == next((what for part, what in OBJECTIVES.items() if part in name), "cross_entropy")
    assert recipe.reinforce_epochs < recipe.epochs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("objective: dynconv\nlearning_rate: 0.1", "epochs"),
        ("objective: dynconv\nepochs: 0\nlearning_rate: 0.1", "greater than 0"),
        ("objective: dynconv\nepochs: 3\nlearning_rate: -1", "greater than 0"),
        ("objective: sgd\nepochs: 3\nlearning_rate: 0.1", "cross_entropy"),
        ("objective: dynconv\nepochs: 3\nlearning_rate: 0.1\nlerning_rate: 0.2", "lerning_rate"),
        ("objective: dynconv\nepochs: 3\nlearning_rate: 0.1\ntarget_share: 60", "less than or equal to 1"),
        ("objective: [", "recipe.yaml"),
        ("", "recipe.yaml"),
        ("!!python/object/apply:os.getcwd []", "recipe.yaml"),
    ],
)
def test_broken_recipes(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        load_recipe("dynconv8-cifar10", path)
    assert "recipe.yaml" in str(error.value)


PUBLISHED_ONLY = {name for name, target in VICTIMS.items() if target.startswith("victims.early_exit:")}


@pytest.mark.parametrize("name", [n for n in VICTIMS if not n.endswith("-imagenet") and n not in PUBLISHED_ONLY])
def test_every_small_victim_has_a_recipe_of_its_own_or_of_its_family(name: str) -> None:
    own = RECIPES / f"{name}.yaml"
    family = next((RECIPES / f"{file}.yaml" for pattern, file in FAMILIES.items() if re.fullmatch(pattern, name)), own)
    assert load_recipe(name) == load_recipe(name, own if own.exists() else family)


def test_no_recipe_for_a_victim_names_near_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pass one with --recipe; did you mean .*dynconv20-cifar10.*\?$"):
        load_recipe("dynconv200-cifar10")
    with pytest.raises(ConfigError, match="no training recipe"):
        load_recipe("dynconv20-cifar10", tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="no training recipe"):
        load_recipe("dynconv20-cifar10", tmp_path)
