"""What eps means: the true half-width of a change, or under the protocol "official" the paper's unit."""

import math
from typing import TYPE_CHECKING, Any

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.cells.kinds import takes_points

if TYPE_CHECKING:
    from lgm_bench.evaluation.cells.cell import Cell

STANDARD, OFFICIAL = "standard", "official"
PROTOCOLS = {STANDARD: (0.0, 1.0), OFFICIAL: (-1.0, 1.0)}
"""Smallest and largest intensity of an adversarial image by protocol.

- standard: eps and step are what they are: intensities of images in [0, 1], metres of points.
- official: of images, eps and step are in the unit of the released runs, 2/255; points are attacked as in these runs,
  without the denominator of Eq. 40, and the clean cloud is the first of the `steps` iterates.
"""
PAPER_UNIT = 2 / 255
LEVELS = 255
SMALLEST, ROOM, MOST_STEPS = 1e-6, 10.0, 1_000_000
"""Smallest eps of images that float32 can tell from none, metres across a large room, and iterations of years."""


def parse_number(value: Any) -> Any:
    """Return the number that a text such as "8/255" stands for; anything else as it is.

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


def as_text(value: float) -> str:
    """Return an intensity as a decimal number or as a fraction of an image's 255 levels, whichever is shorter.

    >>> as_text(8 / 255), as_text(0.5 / 255), as_text(0.03)
    ('8/255', '0.5/255', '0.03')
    """
    levels, decimal = round(value * LEVELS, 2), f"{value:g}"
    fraction = f"{levels:g}/{LEVELS}"
    return fraction if math.isclose(levels / LEVELS, value) and len(fraction) < len(decimal) else decimal


def unit(cell: "Cell") -> float:
    """Return what an eps or step of 1 is: an intensity in [0, 1], or a metre."""
    return PAPER_UNIT if cell.protocol == OFFICIAL and not takes_points(cell.attack.name) else 1.0


def paper_eps(cell: "Cell") -> float:
    """Return a cell's eps as the paper prints it: of images in units of 2/255, of points in metres."""
    if takes_points(cell.attack.name) or cell.protocol == OFFICIAL:
        return cell.attack.eps
    return round(cell.attack.eps / PAPER_UNIT, 9)


def true_text(cell: "Cell", width: float) -> str:
    """Return a true half-width of the kind of a cell's, whatever its protocol, such as "128/255" or "0.5 m"."""
    return f"{width:g} m" if takes_points(cell.attack.name) else as_text(width)


def number_text(cell: "Cell", value: float) -> str:
    """Return a cell's eps or step without its unit: "8/255", "4" of the official protocol, or "0.02" metres."""
    plain = cell.protocol == OFFICIAL or takes_points(cell.attack.name)
    return f"{value:g}" if plain else as_text(value)


def eps_number(cell: "Cell") -> str:
    """Return `number_text` of a cell's eps."""
    return number_text(cell, cell.attack.eps)


def eps_text(cell: "Cell") -> str:
    """Return a cell's eps with its unit, such as "8/255", "4 (8/255)" of the official protocol, or "0.02 m"."""
    if takes_points(cell.attack.name):
        return f"{eps_number(cell)} m"
    true = f" ({as_text(cell.attack.eps * PAPER_UNIT)})" if cell.protocol == OFFICIAL else ""
    return f"{eps_number(cell)}{true}"


def check_sense(cell: "Cell") -> None:
    """Check that eps, step and steps are such as somebody can mean.

    Raises:
        UnknownNameError: There is no such protocol.
        ConfigError: A value makes no sense; the error says what to write.
    """
    if cell.protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", cell.protocol, PROTOCOLS)
    attack = cell.attack
    if attack.steps is not None and attack.steps > MOST_STEPS:
        raise ConfigError(f"steps {attack.steps:,} would take years; give at most {MOST_STEPS:,}")
    for name, value in (("eps", attack.eps), ("step", attack.step)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} must be a number of at least 0, got {value}")
    if takes_points(attack.name):
        if attack.eps > ROOM:
            raise ConfigError(f"eps {attack.eps:g} m is larger than a room; eps of points is in metres, such as 0.02")
        return
    for name, value in (("eps", attack.eps), ("step", attack.step)):
        if value is not None and value * unit(cell) > 1:
            raise ConfigError(
                f"{name} {value:g} is more than the whole range of intensities, [0, 1]; write {value:g}/255"
                + " (or a smaller number: the unit of the protocol official is 2/255)" * (cell.protocol == OFFICIAL)
            )
    if cell.protocol == OFFICIAL and SMALLEST < attack.eps * unit(cell) < 1 / LEVELS:
        raise ConfigError(
            f"eps {attack.eps:g} of the protocol official is {attack.eps:g} x 2/255, less than one level of an image; "
            f"for a half-width of {as_text(attack.eps)} write {attack.eps / PAPER_UNIT:g}, or take protocol standard"
        )
    if attack.eps * unit(cell) < SMALLEST:
        raise ConfigError(f"eps {attack.eps:g} changes no image; write at least 1/255, or so")
