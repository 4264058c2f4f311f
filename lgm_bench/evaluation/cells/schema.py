"""The keys and types of a benchmark file, for checking bench.yaml and users' own files."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator

from lgm_bench.leaded import AUTO
from lgm_bench.tasks.inputs import parse_number


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _as_named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _as_slopes(value: Any) -> Any:
    if isinstance(value, dict) and not {"default", "eps"} & value.keys():
        return {"eps": value}
    return value if isinstance(value, dict) else {"default": value}


def _as_slope(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    return value if value == AUTO else check(value)


Positive = Annotated[float, BeforeValidator(parse_number), Field(gt=0)]
Slope = Annotated[Positive, WrapValidator(_as_slope)]
Width = Annotated[float, BeforeValidator(parse_number), Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
Folder = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Loss = Literal[
    "cross_entropy", "lovasz", "margin", "dlr",
    "exits", "last-exit", "compute", "compute-kept", "underload", "deepsloth",
    "gradmdm", "gradmdm-l2",
]  # fmt: skip
Names = Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]
Channels = Annotated[list[float], Field(min_length=1)]


class Strict(BaseModel):
    """A mapping in which every key and type is checked."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Slopes(Strict):
    """Slopes of one victim under one attack, or steps; in YAML one number, or a mapping from eps to number."""

    default: Positive | None = None
    eps: dict[Width, Positive] = {}

    def at(self, eps: float) -> float | None:
        """Return the number for one eps, or None where none is given."""
        return next((number for width, number in self.eps.items() if math.isclose(width, eps)), self.default)


class VictimEntry(Strict):
    """A victim; in YAML its name alone is enough.

    Attributes:
        name: Registered name, or `package.module:Class`.
        checkpoint: Path of a checkpoint, "random", or None for the registry's default.
        mean: Normalization, if it is not the victim's default.
        std: See `mean`.
        slopes: Slopes of soft occupancies by attack, where they differ from the released ones.
        kwargs: Keyword arguments of a user's own class, or of a network here such as `thresholds` of early exits.
        paper: The paper's victim whose numbers are printed beside this one's, if it has another name.
    """

    name: str
    checkpoint: str | None = None
    mean: Channels | None = None
    std: Annotated[list[Positive], Field(min_length=1)] | None = None
    slopes: dict[str, Annotated[Slopes, BeforeValidator(_as_slopes)]] = {}
    kwargs: dict[str, Any] = {}
    paper: str | None = None


class AttackEntry(Strict):
    """An attack; in YAML its name alone is enough.

    Attributes:
        name: Registered name.
        step: Length of a step in the unit of eps: one number, or one per eps; by default the attack's own.
        steps: Iterations.
        valid_pixels: Shares of the pixels that may change; for images.
        active_set: Whether the attack leaves a sample alone as soon as it has succeeded on it; for images.
        slope: Slopes of the soft occupancy to try one by one (Table VII); empty for the victim's own.
        relation: Relation functions to try one by one (Table V). This and the three slopes below are for points.
        input_slope: See `GradientSpec`.
        output_slope: See `GradientSpec`.
        floor_slope: See `GradientSpec`.
        loss: The loss that the attack raises, see `attacks.objectives.OBJECTIVES`; None for the attack's default.
    """

    name: str
    step: Annotated[Slopes, BeforeValidator(_as_slopes)] = Slopes()
    steps: Count | None = None
    valid_pixels: Annotated[list[Share], BeforeValidator(_as_list)] = [1.0]
    active_set: bool = False
    slope: Annotated[list[Slope], BeforeValidator(_as_list)] = []
    relation: Annotated[list[str], BeforeValidator(_as_list)] = []
    input_slope: Positive | None = None
    output_slope: Positive | None = None
    floor_slope: Positive | None = None
    loss: Loss | None = None


class Settings(Strict):
    """Settings that cells share; a suite's defaults replace those of the file, and a grid's own values replace both.

    Attributes:
        protocol: What eps and step mean, see `units.PROTOCOLS`.
        gradients: Gradient methods to compare: registered names, or `package.module:Class` of a user's own class.
        baseline: The gradient method with which the others are compared; None for the first one.
        seed: See `AttackSpec`.
        limit: See `DataSpec`.
        subset: See `DataSpec`.
        history: See `Cell`.
    """

    protocol: Literal["standard", "official"] = "standard"
    gradients: Names = ["fgm", "lgm"]
    baseline: str | None = None
    seed: Seed = 0
    limit: Count | None = None
    subset: Literal["test", "train", "holdout"] = "test"
    history: bool = False


Victims = Annotated[list[Annotated[VictimEntry, BeforeValidator(_as_named)]], BeforeValidator(_as_list)]
Attacks = Annotated[list[Annotated[AttackEntry, BeforeValidator(_as_named)]], BeforeValidator(_as_list)]


class Grid(Settings):
    """Every combination of the victims, attacks, eps, gradients and targets that it lists.

    Attributes:
        table: The paper's table that the grid reproduces, such as "table_1".
        data: Data set; None to derive it from the victims' names.
        victims: Victims whose checkpoints are required.
        if_available: Victims that are left out until their checkpoints are imported.
        attacks: Attacks with their options.
        eps: Half-widths of the ball: such as 8/255 for images, in metres for points.
        targeted: False, true or both.
    """

    table: str | None = None
    data: str | None = None
    victims: Victims = []
    if_available: Victims = []
    attacks: Attacks
    eps: Annotated[list[Width], BeforeValidator(_as_list)]
    targeted: Annotated[list[bool], BeforeValidator(_as_list)] = [False]


class Suite(Strict):
    """A named set of grids.

    Attributes:
        title: One line about what it shows.
        defaults: Settings that replace the file's defaults in this suite.
        grids: Grids that always run.
        full: Grids that only run with --full.
    """

    title: str = ""
    defaults: Settings = Settings()
    grids: list[Grid]
    full: list[Grid] = []


class RunOptions(Strict):
    """Options of a run. They do not change results, except for last digits (`backend`, `precision`)."""

    out: Folder = "results"
    data_root: Folder | None = None
    batch_size: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    devices: Count = 1
    accelerator: str = "auto"
    num_nodes: Count = 1
    precision: str | int = "32"
    force_precision: bool = False
    save_adversarial: bool = False
    backend: str | None = None
    report: bool = True


class BenchFile(Strict):
    """A whole benchmark file."""

    defaults: Settings = Settings()
    run: RunOptions = RunOptions()
    suites: dict[str, Suite]
