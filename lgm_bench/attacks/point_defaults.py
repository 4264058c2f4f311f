"""The parameters of Point-BIM in the released runs: by victim, gradient and eps in metres."""

from collections.abc import Mapping
from dataclasses import dataclass

from lgm_bench.errors import ConfigError
from lgm_bench.voxels import VoxelSlopes


@dataclass(frozen=True)
class PointSettings:
    """How one cell is attacked.

    Attributes:
        steps: Iterates that are judged, as the official protocol counts them.
        step: Metres.
        loss: "cross_entropy" or "lovasz".
        slope: Slope of the occupancy in the convolutions; None under the dynamics-unaware gradient.
        voxels: Slopes of the way from points to voxels and back.
    """

    steps: int
    step: float
    loss: str
    slope: float | None
    voxels: VoxelSlopes


Settings = Mapping[float, PointSettings]
"""By eps in metres."""


def _scannet(steps: int, step: float, slope: float | None, ends: float) -> PointSettings:
    return PointSettings(steps, step, "cross_entropy", slope, VoxelSlopes(input=ends, output=ends))


def _s3dis(steps: int, step: float, slope: float | None, ends: float) -> PointSettings:
    return PointSettings(steps, step, "cross_entropy", slope, VoxelSlopes(input=ends, output=ends, floor=20.0))


def _street(step: float, slope: float | None) -> PointSettings:
    """30 steps; logits are compared on the voxels, so none lead back to points. The input's slope is of occupancies."""
    return PointSettings(30, step, "lovasz", slope, VoxelSlopes(input=None if slope is None else 10.0))


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
"""By (victim, gradient), then eps: what the released runs used."""

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
    return PointSettings(20, eps / 2, "cross_entropy", slope, VoxelSlopes(input=slope, output=slope))


OURS: dict[tuple[str, str], Settings] = {
    **{
        (victim, gradient): RELEASED[published, gradient]
        for victim, published in _LIKE.items()
        for gradient in ("fgm", "lgm")
    },
    (_MINI_STREET, "fgm"): {eps: _street(eps / 4, slope=None) for eps in _MINI_STREET_SLOPES},
    (_MINI_STREET, "lgm"): {eps: _street(eps / 4, slope=slope) for eps, slope in _MINI_STREET_SLOPES.items()},
    **{
        (victim, gradient): {eps: _shape(eps, slope) for eps in _SHAPE_EPS}
        for victim in _SHAPES
        for gradient, slope in (("fgm", None), ("lgm", 40))
    },
}
"""The same for victims without released runs.

Of scenes, what was released for the published victim of their data set; of the miniature street, whose victim is harder
to fool, a step of eps / 4 and slope 50, the strongest of 50, 100 and 200 on 3 held-out scans. Of shapes, what 13
held-out shapes of the small victim say: a step of eps / 2, since with 0.01 m FGM gets nowhere at eps 0.2 (eps / 5 is as
good within a shape but at eps 0.02); slope 40, the strongest of 5 to 40; and for FGM no slopes, which make it weaker
there."""


def default_settings(victim: str, gradient: str, eps: float) -> PointSettings:
    """Return the parameters of Point-BIM in the released runs, or ours for a victim that was not among them.

    Args:
        victim: Registered name.
        gradient: "fgm" or "lgm".
        eps: Half-width of the cube, metres.

    Raises:
        ConfigError: There are none for this cell: they must be given.

    >>> default_settings("minkunet34c-scannet", "lgm", 0.005).slope
    25.0
    """
    settings = RELEASED.get((victim, gradient)) or OURS.get((victim, gradient))
    if settings is None:
        raise ConfigError(f"no parameters of {gradient} on {victim!r} were released; give step, steps, loss and slopes")
    if eps not in settings:
        known = ", ".join(f"{width:g}" for width in settings)
        raise ConfigError(
            f"no parameters of {gradient} on {victim!r} were released for eps {eps:g} m (only {known}); "
            "give step, steps, loss and slopes"
        )
    return settings[eps]
