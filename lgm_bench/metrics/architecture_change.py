"""Architecture change: how many of an adaptive network's decisions an attack flips (Tao et al. 2024, Sec. V)."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

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


def change_over(victim: nn.Module) -> Scope:
    """Return which images the architecture change of a network is defined over, as one of its modules declares it.

    A module declares it by its attribute `change_over`. "attacked", which holds without a declaration, is the paper's
    definition for networks that decide about whole layers (SkipNet): only images that count as attacked are perturbed.
    "all" is that for networks that decide about positions (DynConv): every image is perturbed.
    """
    declared = {getattr(module, "change_over", "attacked") for module in victim.modules()}
    return "all" if "all" in declared else "attacked"


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
