"""The meaning of a cell's eps: the true half-width, or under the protocol "official" a number in the paper's unit."""

from typing import TYPE_CHECKING

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.cells.kinds import inputs_of
from lgm_bench.tasks.inputs import LEVELS

if TYPE_CHECKING:
    from lgm_bench.evaluation.cells.cell import Cell

STANDARD, OFFICIAL = "standard", "official"
PROTOCOLS = {STANDARD: (0.0, 1.0), OFFICIAL: (-1.0, 1.0)}
"""Smallest and largest intensity of an adversarial image by protocol.

- standard: eps and step are intensities of images in [0, 1], or metres.
- official: eps and step of images are in the unit of the released runs, 2/255. Points are attacked as in these runs:
  without the denominator of Eq. 40, and with the clean cloud as the first of the `steps` iterates.
"""
MOST_STEPS = 1_000_000
"""Largest number of iterations; more would take years."""


def unit(cell: "Cell") -> float:
    """Return how large an eps or step of 1 is: an intensity in [0, 1], or metres."""
    return inputs_of(cell.attack.name).paper_unit if cell.protocol == OFFICIAL else 1.0


def paper_eps(cell: "Cell") -> float:
    """Return a cell's eps as the paper prints it: in units of 2/255 for images, in metres for points."""
    paper_unit = inputs_of(cell.attack.name).paper_unit
    return cell.attack.eps if unit(cell) == paper_unit else round(cell.attack.eps / paper_unit, 9)


def true_text(cell: "Cell", width: float) -> str:
    """Return a true half-width with the unit of a cell's inputs, such as "128/255" or "0.5 m"."""
    inputs = inputs_of(cell.attack.name)
    return f"{inputs.text(width)} {inputs.unit}".strip()


def number_text(cell: "Cell", value: float) -> str:
    """Return a cell's eps or step without its unit: "8/255", "4" (official protocol), or "0.02" (metres)."""
    return f"{value:g}" if cell.protocol == OFFICIAL else inputs_of(cell.attack.name).text(value)


def eps_number(cell: "Cell") -> str:
    """Return `number_text` of a cell's eps."""
    return number_text(cell, cell.attack.eps)


def eps_text(cell: "Cell") -> str:
    """Return a cell's eps with its unit, such as "8/255", "4 (8/255)" under the official protocol, or "0.02 m"."""
    true = true_text(cell, cell.attack.eps * unit(cell))
    return true if unit(cell) == 1 else f"{eps_number(cell)} ({true})"


def check_sense(cell: "Cell") -> None:
    """Check that protocol, eps, step and steps make sense.

    Raises:
        UnknownNameError: There is no such protocol.
        ConfigError: A value makes no sense; the error says what to write.
    """
    if cell.protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", cell.protocol, PROTOCOLS)
    attack = cell.attack
    if attack.steps is not None and attack.steps > MOST_STEPS:
        raise ConfigError(f"steps {attack.steps:,} would take years; give at most {MOST_STEPS:,}")
    if not 0 <= attack.seed < 2**64:
        raise ConfigError(f"seed must be from 0 to 2**64 - 1, got {attack.seed}")
    inputs, true = inputs_of(attack.name), attack.eps * unit(cell)
    inputs.check(attack.eps, attack.step, unit(cell))
    if unit(cell) != 1 and inputs.smallest < true < 1 / LEVELS:
        raise ConfigError(
            f"eps {attack.eps:g} of the protocol official is {attack.eps:g} x 2/255, less than one level of an image; "
            f"for a half-width of {inputs.text(attack.eps)} write {attack.eps / unit(cell):g}, or take standard"
        )
