"""Architecture change: how many of an adaptive network's decisions an attack flips (Tao et al. 2024, Sec. V)."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from lgm_bench.errors import ConfigError

Scope = Literal["all", "attacked"]


class ChangeCounts(NamedTuple):
    """Counts of decisions, by sample and adaptive unit.

    Attributes:
        on_before: (B, U) int64, decisions that were on before the attack.
        on_to_off: (B, U) int64, those of them that went off.
        off_to_on: (B, U) int64, decisions that were off and went on.
        positions: (U,) int64, decisions that each unit takes for one sample.
    """

    on_before: Tensor
    on_to_off: Tensor
    off_to_on: Tensor
    positions: Tensor


def definition_scope(decisions: Sequence[Tensor]) -> Scope:
    """Return which images the architecture change of a network is defined over.

    Networks that decide about whole layers, one decision (B,) a unit (SkipNet), are measured over the attacked
    images; networks that decide about positions, (B, 1, h, w) (DynConv), over all images, every one perturbed.
    """
    return "all" if any(unit[0].numel() > 1 for unit in decisions) else "attacked"


def change_counts(before: Sequence[Tensor], after: Sequence[Tensor]) -> ChangeCounts:
    """Count decisions and their changes.

    Args:
        before: One bool tensor (B, ...) for each adaptive unit, as `architecture` returns them for clean inputs.
        after: The same for the attacked inputs.

    Raises:
        ConfigError: The two do not have the same units.

    >>> before, after = [torch.tensor([[True, True, False]])], [torch.tensor([[True, False, True]])]
    >>> counts = change_counts(before, after)
    >>> counts.on_before.item(), counts.on_to_off.item(), counts.off_to_on.item(), counts.positions.item()
    (2, 1, 1, 3)
    """
    shapes = [tuple(unit.shape) for unit in before], [tuple(unit.shape) for unit in after]
    if shapes[0] != shapes[1] or not before:
        raise ConfigError(
            "architecture change compares the same non-empty list of units before and after an attack, "
            f"got units of shapes {shapes[0]} before and {shapes[1]} after"
        )
    old = [unit.flatten(1) if unit.ndim > 1 else unit[:, None] for unit in before]
    new = [unit.flatten(1) if unit.ndim > 1 else unit[:, None] for unit in after]
    pairs = list(zip(old, new, strict=True))
    return ChangeCounts(
        on_before=torch.stack([b.sum(1) for b in old], dim=1),
        on_to_off=torch.stack([(b & ~a).sum(1) for b, a in pairs], dim=1),
        off_to_on=torch.stack([(a & ~b).sum(1) for b, a in pairs], dim=1),
        positions=torch.tensor([b.shape[1] for b in old], device=old[0].device),
    )


def change_ratios(on_to_off: Tensor, off_to_on: Tensor, positions: Tensor) -> dict[str, Tensor]:
    """Return the shares of changed decisions.

    Every decision weighs the same, so a unit with more positions weighs more.

    Args:
        on_to_off: (U,) decisions that went off, summed over samples.
        off_to_on: (U,) decisions that went on.
        positions: (U,) all decisions of each unit, summed over samples.

    Returns:
        Float64 scalars "ratio", "on_to_off" and "off_to_on", each over all decisions (the latter two add up to the
        first), and (U,) "per_unit"; NaN where there are no decisions.
    """
    total = positions.sum().double()
    return {
        "ratio": (on_to_off + off_to_on).sum() / total,
        "on_to_off": on_to_off.sum() / total,
        "off_to_on": off_to_on.sum() / total,
        "per_unit": (on_to_off + off_to_on) / positions.double(),
    }


class ArchitectureChange(Metric):
    """Share of the hard network's decisions that differ before and after an attack.

    Args:
        over: "attacked" averages over the attacked samples (SkipNet), "all" over every sample given (DynConv).
        max_units: Upper bound of the number of adaptive units. The state has this size from the start, so that
            processes that have seen no sample can be merged with those that have.
        kwargs: Of `torchmetrics.Metric`.
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    sums: Tensor

    def __init__(self, over: Scope = "attacked", max_units: int = 256, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.over = over
        self.max_units = max_units
        self.add_state("sums", torch.zeros(3, max_units, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, before: Sequence[Tensor], after: Sequence[Tensor], attacked: Tensor) -> None:
        """Add samples.

        Args:
            before: One bool tensor (B, ...) for each adaptive unit, on the clean inputs.
            after: The same on the attacked inputs.
            attacked: (B,) bool, the samples that count as attacked.

        Raises:
            ConfigError: The units do not agree, or there are more than `max_units`.
        """
        counts = change_counts(before, after)
        units = len(counts.positions)
        if units > self.max_units:
            raise ConfigError(f"{units} adaptive units do not fit into max_units={self.max_units}; pass a larger one")
        chosen = attacked if self.over == "attacked" else torch.ones_like(attacked)
        self.sums[0, :units] += counts.on_to_off[chosen].sum(0)
        self.sums[1, :units] += counts.off_to_on[chosen].sum(0)
        self.sums[2, :units] += counts.positions * chosen.sum()

    def compute(self) -> dict[str, Tensor]:
        """Return what `change_ratios` returns, for all samples so far on all processes."""
        units = int((self.sums[2] > 0).sum())
        on_to_off, off_to_on, positions = self.sums[:, :units]
        return change_ratios(on_to_off, off_to_on, positions)
