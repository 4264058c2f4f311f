"""Training recipes, read from YAML: all settings of a training run."""

import re
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lgm_bench.errors import ConfigError, did_you_mean
from victims.names import VICTIMS

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


class Recipe(BaseModel):
    """Optimizer, schedule and objective of one training run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    objective: Literal["cross_entropy", "dynconv", "skipnet", "segmentation"]
    epochs: int = Field(gt=0)
    batch_size: int = Field(128, gt=0)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(gt=0, description="peak of the one-cycle schedule")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(5e-4, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    precision: Literal["32-true", "bf16-mixed"] = Field("32-true", description="of the arithmetic; weights are 32-bit")
    warmup: float = Field(0.3, gt=0, lt=1, description="share of the run in which the learning rate rises")
    lovasz_weight: float = Field(1.0, ge=0, description="weight of segmentation's Lovasz-softmax loss")
    target_share: float = Field(0.5, gt=0, le=1, description="share of the units that should be executed")
    bounds_relaxed_after: float = Field(
        0.33, gt=0, description="share of the run after which a single unit may execute always or never; above 1: never"
    )
    sparsity_weight: float = Field(10.0, ge=0, description="weight of DynConv's sparsity criterion")
    temperature: float = Field(1.0, gt=0, description="temperature of DynConv's Gumbel noise")
    compute_cost: float = Field(0.5, ge=0, description="price of SkipNet's executed blocks, alpha")
    reinforce_epochs: int = Field(0, ge=0, description="last epochs, in which SkipNet's gates are sampled")


def load_recipe(victim: str, path: Path | None = None) -> Recipe:
    """Return the recipe at `path`, else the shipped recipe of `victim`, else that of its family and data set.

    Raises:
        ConfigError: There is no such recipe, or a value in it is invalid; the message names the file and the key.
    """
    path = path or _shipped(victim)
    if not path.is_file():
        known = [recipe.stem for recipe in RECIPES.glob("*.yaml")]
        raise ConfigError(f"no training recipe {str(path)!r}; pass one with --recipe{did_you_mean(victim, known)}")
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise ConfigError(f"training recipe {path}: {error}") from error
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}, got {e['input']!r}" for e in error.errors()
        ]
        raise ConfigError("\n".join(f"training recipe {path}: {line}" for line in wrong)) from None


def _shipped(victim: str) -> Path:
    own = RECIPES / f"{victim}.yaml"
    if own.is_file() or victim not in VICTIMS:
        return own
    family = re.sub(r"([a-z]{4,})[0-9]+[a-z]?-", r"\1-", victim, count=1)  # dynconv32-cifar10, minkunet34c-scannet
    return RECIPES / f"{family}.yaml"
