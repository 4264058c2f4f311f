"""The two kinds of inputs of attacks: images and points. Needs no PyTorch."""

import math
from dataclasses import dataclass
from typing import Any

from lgm_bench.errors import ConfigError, UnknownNameError

PAPER_UNIT = 2 / 255
"""Unit of intensities in the paper, whose images are in [-1, 1]."""
LEVELS = 255


@dataclass(frozen=True)
class Inputs:
    """How the settings of attacks on one kind of inputs are written, and which values make sense.

    Attributes:
        name: Name in the `inputs` of attacks and tasks.
        sample: Word for one sample in tables.
        unit: Unit of eps; empty for intensities, which are written as fractions such as 8/255.
        paper_unit: The eps that the paper prints as 1.
        smallest: Smallest eps that changes anything in float32.
        largest: Largest eps that makes sense.
        too_small: End of the error message for a smaller eps.
        too_large: End of the error message for a larger eps or step.
        usual_eps: Default eps of `lgm-bench attack`.
        searched_eps: Default eps of `lgm-bench search`.
        voxels: Whether victims turn their inputs into voxels, whose soft occupancies have their own settings.
    """

    name: str
    sample: str
    unit: str
    paper_unit: float
    smallest: float
    largest: float
    too_small: str
    too_large: str
    usual_eps: str
    searched_eps: str
    voxels: bool

    def text(self, width: float) -> str:
        """Return a true half-width as text, without its unit.

        Intensities are written as a decimal number or a fraction of 255, whichever is shorter.

        >>> IMAGES.text(8 / 255), IMAGES.text(0.5 / 255), IMAGES.text(0.03), POINTS.text(0.02)
        ('8/255', '0.5/255', '0.03', '0.02')
        """
        decimal = f"{width:g}"
        if self.unit:
            return decimal
        levels = round(width * LEVELS, 2)
        fraction = f"{levels:g}/{LEVELS}"
        return fraction if math.isclose(levels / LEVELS, width) and len(fraction) < len(decimal) else decimal

    def check(self, eps: float, step: float | None, unit: float) -> None:
        """Check that eps and step, in units of `unit`, have a sensible size.

        Raises:
            ConfigError: One of them does not; the message says what to write.
        """
        for name, value in (("eps", eps), ("step", step)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} must be a number of at least 0, got {value}")
            if value is not None and value * unit > self.largest:
                official = " (or a smaller number: the unit of the protocol official is 2/255)" * (unit != 1)
                raise ConfigError(f"{name} {value:g} {self.too_large.format(value=value)}{official}")
        if eps * unit < self.smallest:
            raise ConfigError(f"eps {eps:g} {self.too_small}")


IMAGES = Inputs(
    name="images",
    sample="image",
    unit="",
    paper_unit=PAPER_UNIT,
    smallest=1e-6,
    largest=1.0,
    too_small="changes no image; write at least 1/255, or so",
    too_large="is more than the whole range of intensities, [0, 1]; write {value:g}/255",
    usual_eps="8/255",
    searched_eps="2/255,4/255,8/255,16/255",
    voxels=False,
)
POINTS = Inputs(
    name="points",
    sample="point cloud",
    unit="m",
    paper_unit=1.0,
    smallest=1e-6,
    largest=10.0,
    too_small="m moves no point; eps of points is in metres, such as 0.02",
    too_large="m is larger than a room; eps of points is in metres, such as 0.02",
    usual_eps="0.01",
    searched_eps="0.005,0.01,0.02,0.05",
    voxels=True,
)
INPUTS = {kind.name: kind for kind in (IMAGES, POINTS)}


def inputs_named(name: str) -> Inputs:
    """Return a kind of inputs by its name.

    Raises:
        UnknownNameError: There is no such kind.
    """
    if name not in INPUTS:
        raise UnknownNameError("kind of inputs", name, INPUTS)
    return INPUTS[name]


def parse_number(value: Any) -> Any:
    """Return the number of a text such as "8/255"; other values unchanged.

    >>> parse_number("8/255") == 8 / 255, parse_number("0.02"), parse_number(0.02), parse_number("x")
    (True, 0.02, 0.02, 'x')
    """
    if not isinstance(value, str):
        return value
    numerator, slash, denominator = value.partition("/")
    try:
        return float(numerator) / float(denominator) if slash else float(value)
    except (ValueError, ZeroDivisionError):
        return value
