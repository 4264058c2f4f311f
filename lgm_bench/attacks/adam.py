"""Adam (Kingma & Ba 2015) as a step of an attack."""

import torch
from torch import Tensor

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def no_moments(like: Tensor) -> dict[str, Tensor]:
    """Return the moments before the first gradient, of the shape of `like`."""
    return {"first": torch.zeros_like(like), "second": torch.zeros_like(like)}


def adam(gradient: Tensor, moments: dict[str, Tensor], iteration: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the direction of a step, to be multiplied by the learning rate, and the moments after it.

    Args:
        gradient: Of what is to be raised.
        moments: "first" and "second", of its shape.
        iteration: From 0.
    """
    first = BETA_1 * moments["first"] + (1 - BETA_1) * gradient
    second = BETA_2 * moments["second"] + (1 - BETA_2) * gradient.square()
    first_unbiased = first / (1 - BETA_1 ** (iteration + 1))
    second_unbiased = second / (1 - BETA_2 ** (iteration + 1))
    return first_unbiased / (second_unbiased.sqrt() + EPSILON), {"first": first, "second": second}
