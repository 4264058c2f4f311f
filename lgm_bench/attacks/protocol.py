"""The two readings of the paper's image protocol: its text, and what its released runs did."""

from dataclasses import dataclass

from lgm_bench.errors import UnknownNameError


@dataclass(frozen=True)
class Protocol:
    """How a printed eps becomes a change of intensities in [0, 1].

    Attributes:
        name: "paper" or "official".
        scale: Intensity of one printed unit of eps or step.
        low: Smallest intensity that an adversarial image may have.
        high: Largest one.
    """

    name: str
    scale: float
    low: float
    high: float


PROTOCOLS = {
    "paper": Protocol("paper", scale=1 / 255, low=0.0, high=1.0),
    "official": Protocol("official", scale=2 / 255, low=-1.0, high=1.0),
}


def protocol_named(name: str) -> Protocol:
    """Return the protocol called `name`.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
