"""What names stand for, as far as planning has to know it.

Registered names are answered without importing torch; a class of a user's own is asked itself.
"""

from typing import Any

from lgm_bench.attacks import ATTACKS, GRADIENT_FREE, POINT_ATTACKS
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GRADIENTS, HARD_GRADIENTS
from lgm_bench.registry import resolve
from lgm_bench.tasks.inputs import IMAGES, POINTS, Inputs, inputs_named
from victims.names import STATIC_VICTIMS


def inputs_of(attack: str) -> Inputs:
    """Return what an attack changes, and so what its eps means.

    Raises:
        UnknownNameError: There is no such attack.
        ConfigError: It is something else.
    """
    if attack in ATTACKS:
        return POINTS if attack in POINT_ATTACKS else IMAGES
    return inputs_named(_own("attack", attack, "inputs", "lgm_bench.attacks.Attack"))


def follows_gradient(attack: str) -> bool:
    """Return whether an attack follows a gradient; random moves do not.

    Raises:
        UnknownNameError: There is no such attack.
        ConfigError: It is something else.
    """
    if attack in ATTACKS:
        return attack not in GRADIENT_FREE
    return bool(_own("attack", attack, "takes_gradient", "lgm_bench.attacks.Attack"))


def softens(gradient: str) -> bool:
    """Return whether a gradient method uses soft occupancies, which have a slope and need a network that decides.

    Raises:
        UnknownNameError: There is no such method.
        ConfigError: It is something else.
    """
    if gradient in GRADIENTS:
        return gradient not in HARD_GRADIENTS
    return bool(_own("gradient", gradient, "softens", "lgm_bench.leaded.GradientMethod"))


def is_static(victim: str) -> bool:
    """Return whether a registered victim decides nothing; of a user's own that is seen when it is attacked."""
    return victim in STATIC_VICTIMS


def _own(kind: str, name: str, attribute: str, base: str) -> Any:
    """Return what a user's own class says of itself."""
    own = resolve(kind, name, {"attack": ATTACKS, "gradient": GRADIENTS}[kind])
    if not hasattr(own, attribute):
        raise ConfigError(f"{kind} {name!r} is no class derived from {base}")
    return getattr(own, attribute)
