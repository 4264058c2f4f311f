"""Default parameters of cells: slopes stored with weights, parameters of the released runs, and ours for other victims.

The released runs used two gradients. Methods that soften occupancies take LGM's parameters, all others FGM's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.kinds import softens
from lgm_bench.evaluation.cells.units import OFFICIAL, unit
from lgm_bench.tasks.inputs import parse_number
from victims.checkpoints import registered
from victims.registry import StoredSlopes

SINGLE_STEP: dict[tuple[str, str], dict[float, float]] = {
    ("skipnet", "cifar10"): {1: 0.5, 2: 0.3, 4: 0.2, 8: 0.2},
    ("dynconv", "cifar10"): {1: 0.5, 2: 0.2, 4: 0.1, 8: 0.0001},
    ("skipnet", "imagenet"): {1: 0.3, 2: 0.005, 4: 0.005, 8: 0.0025, 16: 0.0001},
    ("dynconv", "imagenet"): {1: 5.0, 2: 0.05, 4: 0.005, 8: 0.001, 16: 0.001},
}
"""Slopes of FGSM by (family, data set), then eps (Tao et al. 2024, Eq. 15 and 19)."""

ITERATIVE = {
    ("skipnet", "cifar10"): {"bim": 5.0, "pgd": 5.0, "cw": 35.0, "autopgd": 5.0, "autoattack": 5.0},
    ("dynconv", "cifar10"): {"bim": 10.0, "pgd": 10.0, "cw": 45.0, "autopgd": 10.0, "autoattack": 10.0},
}
"""Slopes of iterative attacks by (family, data set), then attack.

They were found at eps 8 with 5 % of the pixels, and are used for every eps and share of the pixels.

`autoattack`, the ensemble, was not among the released runs. It uses the slope of their "AutoAttack", which here is
`autopgd`.
"""

ITERATIVE_TARGETED = {("skipnet", "cifar10"): {"cw": 30.0}}
"""Slopes of targeted attacks, where they differ from those of the untargeted attack."""


def image_slope(victim: str, attack: str, eps: float, targeted: bool) -> float | None:
    """Return the slope with which the released runs attacked images, or None.

    Args:
        victim: Victim name such as "skipnet110-cifar10"; its family and data set decide.
        attack: Registered attack name.
        eps: In the unit of the protocol "official".
        targeted: Whether the attack has target classes.

    >>> image_slope("skipnet110-cifar10", "cw", 8, targeted=True)
    30.0
    >>> image_slope("dynconv101-imagenet", "fgsm", 2, targeted=False)
    0.05
    """
    family, _, data = victim.rpartition("-")
    known = (family.partition("-")[0].rstrip("0123456789"), data)
    if attack == "fgsm":
        return SINGLE_STEP.get(known, {}).get(eps)
    slopes = dict(ITERATIVE.get(known, {}))
    if targeted:
        slopes |= ITERATIVE_TARGETED.get(known, {})
    return slopes.get(attack)


def stored_slope(cell: Cell) -> float | str | None:
    """Return the slope that is stored with the victim's weights for this attack and eps, or None.

    If there are several, the one found under the most similar settings is returned. Published weights have none under
    the protocol "official", where the released slopes apply.
    """
    _, entry = registered(cell.victim.name, cell.victim.checkpoint) or (None, None)
    if entry is None or (cell.protocol == OFFICIAL and entry.official_file is not None):
        return None
    attack, eps = cell.attack, cell.attack.eps * unit(cell)
    setting = (cell.gradient.name, cell.protocol, attack.targeted, attack.valid_pixels, attack.steps)

    def agreement(stored: StoredSlopes) -> int:
        found = (stored.gradient, stored.protocol, stored.targeted, stored.valid_pixels, stored.steps)
        return sum(ours == theirs for ours, theirs in zip(setting, found, strict=True))

    for stored in sorted(entry.slopes, key=agreement, reverse=True):
        for width, slope in stored.slopes.items():
            if stored.attack == attack.name and math.isclose(parse_number(width), eps):
                return slope
    return None


@dataclass(frozen=True)
class PointSettings:
    """How points are attacked; see `AttackSpec` and `GradientSpec`.

    Attributes:
        steps: Number of judged iterates, as the official protocol counts them.
        step: Length of a step, metres.
        loss: "cross_entropy" or "lovasz".
        slope: Slope of the soft occupancy; None for a method that does not soften.
        input_slope: Slope of the relation from points to voxels.
        output_slope: Slope of the relation from voxels back to points.
        floor_slope: Slope of the soft floor in coordinate features.
    """

    steps: int
    step: float
    loss: str
    slope: float | None
    input_slope: float | None = None
    output_slope: float | None = None
    floor_slope: float | None = None


Settings = Mapping[float, PointSettings]
"""Settings by eps in metres."""


def _scannet(steps: int, step: float, slope: float | None, ends: float) -> PointSettings:
    return PointSettings(steps, step, "cross_entropy", slope, ends, ends)


def _s3dis(steps: int, step: float, slope: float | None, ends: float) -> PointSettings:
    return PointSettings(steps, step, "cross_entropy", slope, ends, ends, floor_slope=20.0)


def _street(step: float, slope: float | None) -> PointSettings:
    """Return settings with 30 steps. Logits are compared on the voxels, so there is no output slope."""
    return PointSettings(30, step, "lovasz", slope, input_slope=None if slope is None else 10.0)


_STREET_STEPS = {0.005: 0.0025, 0.01: 0.005, 0.02: 0.005, 0.05: 0.005}
_STREET_SLOPES = {0.005: 250.0, 0.01: 200.0, 0.02: 200.0, 0.05: 200.0}

RELEASED: dict[tuple[str, str], Settings] = {
    ("minkunet34c-scannet", "lgm"): {
        0.005: _scannet(30, 0.0025, slope=25.0, ends=10.0),
        0.01: _scannet(50, 0.01, slope=10.0, ends=10.0),
        0.02: _scannet(50, 0.01, slope=10.0, ends=10.0),
        0.05: _scannet(50, 0.01, slope=15.0, ends=10.0),
    },
    ("minkunet34c-scannet", "fgm"): {
        0.005: _scannet(30, 0.005, slope=None, ends=20.0),
        0.01: _scannet(30, 0.01, slope=None, ends=20.0),
        0.02: _scannet(30, 0.01, slope=None, ends=20.0),
        0.05: _scannet(30, 0.05, slope=None, ends=20.0),
    },
    ("minkunet34-s3dis", "lgm"): {
        0.005: _s3dis(50, 0.005, slope=55.0, ends=45.0),
        0.01: _s3dis(50, 0.01, slope=55.0, ends=45.0),
        0.02: _s3dis(50, 0.01, slope=55.0, ends=45.0),
        0.05: _s3dis(50, 0.025, slope=55.0, ends=45.0),
    },
    ("minkunet34-s3dis", "fgm"): {
        0.005: _s3dis(30, 0.005, slope=None, ends=55.0),
        0.01: _s3dis(30, 0.01, slope=None, ends=55.0),
        0.02: _s3dis(30, 0.02, slope=None, ends=55.0),
        0.05: _s3dis(30, 0.05, slope=None, ends=55.0),
    },
    ("cylinder3d-semantickitti", "lgm"): {
        eps: _street(step, slope=_STREET_SLOPES[eps]) for eps, step in _STREET_STEPS.items()
    },
    ("cylinder3d-semantickitti", "fgm"): {eps: _street(step, slope=None) for eps, step in _STREET_STEPS.items()},
}
"""Settings of the released runs of Point-BIM by (victim, gradient), then eps."""

_LIKE = {
    "minkunet14-scannet": "minkunet34c-scannet",
    "minkunet18-scannet": "minkunet34c-scannet",
    "minkunet-scannet-mini": "minkunet34c-scannet",
    "minkunet14-s3dis": "minkunet34-s3dis",
    "minkunet18-s3dis": "minkunet34-s3dis",
    "minkunet-s3dis-mini": "minkunet34-s3dis",
    "cylinder3d-small-semantickitti": "cylinder3d-semantickitti",
    "cylinder3d-corrected-semantickitti": "cylinder3d-semantickitti",
}

_MINI_STREET = "cylinder3d-semantickitti-mini"
_MINI_STREET_SLOPES = {0.02: 50.0, 0.05: 50.0, 0.1: 50.0}

_SHAPES = ("minknet-modelnet40-mini", "minknet-small-modelnet40", "minknet-modelnet40")
_SHAPE_EPS = (0.02, 0.05, 0.1, 0.2)


def _shape(eps: float, slope: float | None) -> PointSettings:
    return PointSettings(20, eps / 2, "cross_entropy", slope, slope, slope)


OURS: dict[tuple[str, str], Settings] = {
    **{
        (victim, gradient): settings
        for victim, published in _LIKE.items()
        for (released, gradient), settings in RELEASED.items()
        if released == published
    },
    (_MINI_STREET, "fgm"): {eps: _street(eps / 4, slope=None) for eps in _MINI_STREET_SLOPES},
    (_MINI_STREET, "lgm"): {eps: _street(eps / 4, slope=slope) for eps, slope in _MINI_STREET_SLOPES.items()},
    **{
        (victim, gradient): {eps: _shape(eps, slope) for eps in _SHAPE_EPS}
        for victim in _SHAPES
        for gradient, slope in (("fgm", None), ("lgm", 40))
    },
}
"""Our own settings for victims without released runs, in the same form as `RELEASED`.

- Scenes: the released settings of the published victim on the same data set.
- The miniature street, whose victim is harder to fool: a step of eps / 4 and slope 50, the strongest of 50, 100 and 200
  on 3 held-out scans.
- Shapes, chosen on 13 held-out shapes of the small victim: a step of eps / 2, since a step of 0.01 m is too short for
  FGM at eps 0.2 (eps / 5 differs by at most one shape, except at eps 0.02). Slope 40 is the strongest of 5 to 40. FGM
  gets no slopes, because they make it weaker there.
"""

_SETTINGS = OURS | RELEASED
STANDS_FOR = {True: "lgm", False: "fgm"}
"""Released method whose parameters another method takes; the key says whether that method softens occupancies."""


def point_settings(victim: str, gradient: str, eps: float) -> PointSettings | None:
    """Return the released parameters of Point-BIM, or ours for a victim without released ones, or None.

    Args:
        victim: Registered name.
        gradient: Name of the gradient method.
        eps: Half-width of the cube, metres.

    >>> point_settings("minkunet34c-scannet", "lgm", 0.005).slope
    25.0
    """
    settings = _SETTINGS.get((victim, gradient)) or _SETTINGS.get((victim, STANDS_FOR[softens(gradient)]), {})
    return settings.get(eps)
