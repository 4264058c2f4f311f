"""Fast gradient sign method (Goodfellow et al. 2015)."""

from typing import Any

from lgm_bench.attacks.bim import BIM
from lgm_bench.errors import ConfigError


class FGSM(BIM):
    """One sign step of size eps.

    Args:
        eps: Largest change of an intensity, in 1/255 (see `Attack`).
        step: Size of the step; None is eps.
        steps: None or 1.
        **options: The other options of `Attack`.

    Raises:
        ConfigError: A value makes no sense.
    """

    name = "fgsm"
    default_steps = 1

    def __init__(self, eps: float, step: float | None = None, steps: int | None = None, **options: Any) -> None:
        super().__init__(eps, eps if step is None else step, steps, **options)
        if self.steps != 1:
            raise ConfigError(f"fgsm is a single step, got steps={steps}; use bim for more")
