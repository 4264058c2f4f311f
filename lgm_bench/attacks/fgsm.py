"""Fast gradient sign method (Goodfellow et al. 2015)."""

from typing import Any

from lgm_bench.attacks.bim import BIM
from lgm_bench.errors import ConfigError


class FGSM(BIM):
    """One step, of size eps if no other is given.

    Args:
        *args: Those of `Attack`; steps must be None or 1.
        **options: The other options of `Attack`.

    Raises:
        ConfigError: A value makes no sense.
    """

    name = "fgsm"
    default_step = None
    default_steps = 1

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.steps != 1:
            raise ConfigError(f"fgsm is a single step, got steps={self.steps}; use bim for more")
