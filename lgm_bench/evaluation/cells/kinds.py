"""Properties of attacks, gradients and victims by name, for planning.

For registered names this does not import torch; a user's own class is imported. A class that cannot be imported gets
the most common properties here, and its cell fails when it runs. Unknown names raise UnknownNameError.
"""

from typing import Any

from lgm_bench.attacks import ATTACKS, GRADIENT_FREE, LEARNING, POINT_ATTACKS
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GRADIENTS, HARD_GRADIENTS
from lgm_bench.registry import resolve
from lgm_bench.tasks.inputs import IMAGES, POINTS, Inputs, inputs_named
from victims.names import STATIC_VICTIMS


def inputs_of(attack: str) -> Inputs:
    """Return the kind of inputs that an attack changes, which sets the meaning of eps."""
    if attack in ATTACKS:
        return POINTS if attack in POINT_ATTACKS else IMAGES
    return inputs_named(_own("attack", attack, "inputs", IMAGES.name))


def follows_gradient(attack: str) -> bool:
    """Return whether an attack follows a gradient; random moves do not."""
    if attack in ATTACKS:
        return attack not in GRADIENT_FREE
    return bool(_own("attack", attack, "takes_gradient", True))


def learns(attack: str) -> bool:
    """Return whether an attack learns on held-out samples first, as universal perturbations do."""
    if attack in ATTACKS:
        return attack in LEARNING
    return bool(_own("attack", attack, "learns", False))


def softens(gradient: str) -> bool:
    """Return whether a gradient method uses soft occupancies; these have a slope and need an adaptive network."""
    if gradient in GRADIENTS:
        return gradient not in HARD_GRADIENTS
    return bool(_own("gradient", gradient, "softens", False))


def is_static(victim: str) -> bool:
    """Return whether a registered victim is not adaptive; a user's own network is only examined when it runs."""
    return victim in STATIC_VICTIMS


def _own(kind: str, name: str, attribute: str, otherwise: Any) -> Any:
    """Return an attribute of a user's own class; `otherwise` if the class cannot be imported or lacks it."""
    try:
        own = resolve(kind, name, {"attack": ATTACKS, "gradient": GRADIENTS}[kind])
    except ConfigError:
        return otherwise
    return getattr(own, attribute, otherwise)
