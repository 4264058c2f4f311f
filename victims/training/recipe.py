"""Training recipes, read from YAML: all settings of a training run."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lgm_bench.errors import ConfigError, did_you_mean
from victims.names import VICTIMS

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


GradientOfTraining = Literal["fgm", "lgm"]


def _number(value: Any) -> Any:
    """Return the value of a fraction such as "8/255"; anything else as it is."""
    return float(Fraction(value)) if isinstance(value, str) and re.fullmatch(r"\d+/[1-9]\d*", value) else value


class Adversarial(BaseModel):
    """One step of an attack on every training batch, on images.

    The defaults are N-FGSM (de Jorge et al. 2022), which does not suffer from catastrophic overfitting: noise that is
    wider than the ball, a step of eps, and no projection. Fast adversarial training (Wong et al. 2020) is noise 1, step
    1.25, clipped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gradient: GradientOfTraining = Field("fgm", description="of the step; lgm takes the automatic slope")
    eps: Annotated[float, BeforeValidator(_number)] = Field(8 / 255, gt=0, le=1, description="half-width of the ball")
    noise: float = Field(2.0, ge=0, description="half-width of the uniformly random start, in units of eps")
    step: float = Field(1.0, gt=0, description="size of the step, in units of eps")
    clipped: bool = Field(False, description="whether the result is projected onto the ball")


class Recipe(BaseModel):
    """Optimizer, schedule and objective of one training run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    objective: Literal["cross_entropy", "dynconv", "skipnet", "gated", "segmentation"]
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
    sparsity_weight: float = Field(10.0, ge=0, description="weight of the sparsity criterion")
    balance_weight: float = Field(0.01, ge=0, description="weight of the load balance of experts")
    temperature: float = Field(1.0, gt=0, description="of the soft decisions in training: DynConv's noise, 1 / slope")
    compute_cost: float = Field(0.5, ge=0, description="price of SkipNet's executed blocks, alpha")
    reinforce_epochs: int = Field(0, ge=0, description="last epochs, in which SkipNet's gates are sampled")
    adaptive_units: int = Field(
        0, ge=0, description="how many units have to decide by the image at the end; the record warns where fewer do"
    )
    adversarial: Adversarial | None = Field(
        None, description="adversarial training of image classifiers; None: without"
    )


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


def with_adversarial(recipe: Recipe, adversarial: bool, gradient: str | None) -> Recipe:
    """Return a recipe with adversarial training, if that is chosen, and with another gradient of it.

    Raises:
        ConfigError: A gradient is given without adversarial training, or is not one of `Adversarial`.
    """
    settings = recipe.adversarial or (Adversarial() if adversarial else None)
    if gradient is None:
        return recipe.model_copy(update={"adversarial": settings})
    if settings is None:
        raise ConfigError("a gradient is for adversarial training; add --adversarial, or leave --gradient out")
    if gradient not in get_args(GradientOfTraining):
        raise ConfigError(f"gradient of adversarial training must be fgm or lgm, got {gradient!r}")
    return recipe.model_copy(update={"adversarial": settings.model_copy(update={"gradient": gradient})})


def _shipped(victim: str) -> Path:
    own = RECIPES / f"{victim}.yaml"
    if own.is_file() or victim not in VICTIMS:
        return own
    family = re.sub(r"([a-z]{4,})[0-9]+[a-z]?-", r"\1-", victim, count=1)  # dynconv32-cifar10, minkunet34c-scannet
    return RECIPES / f"{family}.yaml"
