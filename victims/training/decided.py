"""What a network with gates decides over the held-out images of an epoch."""

from collections import Counter
from collections.abc import Mapping
from statistics import mean
from typing import Any

from torch import Tensor

OFTEN = 0.05
"""A decision depends on the image if it is on, and off, for at least this share of the images."""

SOME = 0.1
"""A unit decides by the image if at least this share of its decisions depends on it."""


class Decided:
    """Counts, for each decision of every unit, the images for which it is on."""

    def __init__(self) -> None:
        self.on: dict[str, Tensor] = {}
        self.images: Counter[str] = Counter()

    def add(self, decisions: Mapping[str, Tensor]) -> None:
        """Count the decisions (B, ...) of a batch, bool, by name of the unit."""
        for name, decided in decisions.items():
            on = decided.reshape(len(decided), -1).double().sum(dim=0)
            self.on[name] = self.on[name] + on if name in self.on else on
            self.images[name] += len(decided)

    def figures(self) -> dict[str, Any]:
        """Return the share of decisions that are on, and the share that depends on the image: per unit, and the mean.

        Also the number of units that decide by the image. In a unit with many decisions (positions, tokens, channels,
        experts) each of them counts by itself.
        """
        rates = {name: on / self.images[name] for name, on in self.on.items()}
        executed = [rate.mean().item() for rate in rates.values()]
        by_image = [((rate >= OFTEN) & (rate <= 1 - OFTEN)).double().mean().item() for rate in rates.values()]
        if not rates:
            return {}
        return {
            "executed_units": mean(executed),
            "decided_by_image": mean(by_image),
            "adaptive_units": sum(share >= SOME for share in by_image),
            "executed_by_unit": [round(share, 4) for share in executed],
            "decided_by_image_by_unit": [round(share, 4) for share in by_image],
        }
