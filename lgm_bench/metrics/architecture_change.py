"""Architecture change: how many of an adaptive network's decisions an attack flips (Tao et al. 2024, Sec. V)."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn


class ChangeCounts(NamedTuple):
    """Counts of decisions, by sample and adaptive unit, each (B, U) int64.

    Attributes:
        on_before: Decisions that were on before the attack.
        on_to_off: Those of them that went off.
        off_to_on: Decisions that were off and went on.
        positions: Decisions that were compared.
    """

    on_before: Tensor
    on_to_off: Tensor
    off_to_on: Tensor
    positions: Tensor

    @classmethod
    def joined(cls, parts: "Sequence[tuple[Tensor, ChangeCounts]]", n_samples: int) -> "ChangeCounts":
        """Return the counts of all samples from those of some, each with the places (K,) int64 of its samples."""
        n_units = max(counts.positions.shape[1] for _, counts in parts)
        found = [parts[0][0].new_zeros(n_samples, n_units) for _ in cls._fields]
        for places, counts in parts:
            for whole, values in zip(found, counts, strict=True):
                whole[places, : values.shape[1]] = values
        return cls(*found)


def change_over(victim: nn.Module) -> Literal["all", "attacked"]:
    """Return which samples the architecture change of a network is defined over, as one of its modules declares it.

    A module declares it by its attribute `change_over`. "attacked", which holds without a declaration, is the paper's
    definition for networks that decide about whole layers (SkipNet): only samples that count as attacked are perturbed.
    "all" is that for networks that decide about positions (DynConv), and for point clouds: every one is perturbed.
    """
    declared = {getattr(module, "change_over", "attacked") for module in victim.modules()}
    return "all" if "all" in declared else "attacked"


def change_counts(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> ChangeCounts | None:
    """Count decisions and their changes; None for a network that decides nothing.

    A unit that decides less often after the attack than before, or more often, is compared where it decided both times:
    a network that leaves earlier, or drops a token, has fewer decisions. What is decided only once counts nowhere.

    Args:
        before: By name of the unit, a bool tensor (B, ...) of the clean inputs, see `hard_units`.
        after: The same of the attacked inputs; other units may be among them.

    >>> before, after = {"gate": torch.tensor([[True, True, False]])}, {"gate": torch.tensor([[True, False, True]])}
    >>> counts = change_counts(before, after)
    >>> counts.on_before.item(), counts.on_to_off.item(), counts.off_to_on.item(), counts.positions.item()
    (2, 1, 1, 3)
    """
    pairs = [_shared(unit, after.get(name)) for name, unit in before.items()]
    if not pairs:
        return None
    return ChangeCounts(
        on_before=torch.stack([b.sum(1) for b, _ in pairs], dim=1),
        on_to_off=torch.stack([(b & ~a).sum(1) for b, a in pairs], dim=1),
        off_to_on=torch.stack([(a & ~b).sum(1) for b, a in pairs], dim=1),
        positions=torch.stack([b.new_full((len(b),), b.shape[1], dtype=torch.int64) for b, _ in pairs], dim=1),
    )


def _shared(before: Tensor, after: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the decisions (B, P) that two bool tensors (B, ...) both have: the leading ones along every dimension."""
    if after is None or before.ndim != after.ndim:
        nothing = before.new_zeros(len(before), 0)
        return nothing, nothing
    for dim in range(1, before.ndim):
        size = min(before.shape[dim], after.shape[dim])
        before, after = before.narrow(dim, 0, size), after.narrow(dim, 0, size)
    return before.reshape(len(before), -1), after.reshape(len(after), -1)
