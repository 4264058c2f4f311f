"""Architecture change: the share of an adaptive network's decisions that an attack flips (Tao et al. 2024, Sec. V)."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from lgm_bench.errors import ConfigError


class ChangeCounts(NamedTuple):
    """Counts of decisions per sample and adaptive unit, each (B, U) int64.

    Attributes:
        on_before: Decisions that were on before the attack.
        on_to_off: Decisions that the attack switched off.
        off_to_on: Decisions that the attack switched on.
        positions: All decisions that were compared.
    """

    on_before: Tensor
    on_to_off: Tensor
    off_to_on: Tensor
    positions: Tensor

    @classmethod
    def joined(cls, parts: "Sequence[tuple[Tensor, ChangeCounts]]", n_samples: int) -> "ChangeCounts":
        """Join the counts of parts of the samples, each with the indices (K,) int64 of its samples."""
        n_units = max(counts.positions.shape[1] for _, counts in parts)
        whole = [parts[0][0].new_zeros(n_samples, n_units) for _ in cls._fields]
        for places, counts in parts:
            for all_values, values in zip(whole, counts, strict=True):
                all_values[places, : values.shape[1]] = values
        return cls(*whole)


def change_over(victim: nn.Module) -> Literal["all", "attacked"]:
    """Return over which samples the architecture change is measured, as declared by the attribute `change_over`.

    "attacked", the default, is the paper's definition for networks that decide on whole layers (SkipNet): only samples
    that count as attacked are perturbed. "all" is the definition for networks that decide on positions (DynConv) and
    for point clouds: every sample is perturbed.
    """
    declared = {getattr(module, "change_over", "attacked") for module in victim.modules()}
    return "all" if "all" in declared else "attacked"


def change_counts(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> ChangeCounts | None:
    """Count decisions and their changes; None for a network without adaptive units.

    A unit may make fewer or more decisions after the attack, for example if a network exits earlier or drops a token.
    Only decisions that were made both times count.

    Args:
        before: Decisions (B, ...) bool by name of the unit for clean inputs, see `hard_units`.
        after: The same for attacked inputs; units may differ.

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


def voxel_counts(before: Tensor, after: Tensor, n_scenes: int) -> ChangeCounts:
    """Count occupied voxels of clean and attacked clouds as decisions of one unit, (B, 1); positions are the union.

    Args:
        before: (M, 4) int64 = scene, x, y, z, each voxel once.
        after: (M', 4), the same for the attacked clouds.
        n_scenes: Number of scenes B.

    Raises:
        ConfigError: A shape is wrong, or a voxel is listed twice.

    >>> counts = voxel_counts(torch.tensor([[0, 1, 1, 1], [0, 2, 1, 1]]), torch.tensor([[0, 2, 1, 1], [0, 3, 1, 1]]), 1)
    >>> counts.on_to_off.item(), counts.off_to_on.item(), counts.positions.item()
    (1, 1, 3)
    """
    for name, voxels in (("before", before), ("after", after)):
        if voxels.ndim != 2 or voxels.shape[1] != 4 or voxels.dtype != torch.int64:
            raise ConfigError(f"voxels {name} must be (M, 4) int64, got {tuple(voxels.shape)} {voxels.dtype}")
    voxels, row = torch.unique(torch.cat([before, after]), dim=0, return_inverse=True)
    n_before, n_after = (torch.bincount(part, minlength=len(voxels)) for part in row.split([len(before), len(after)]))
    if bool((n_before > 1).any()) or bool((n_after > 1).any()):
        double = voxels[(n_before > 1) | (n_after > 1)][0].tolist()
        raise ConfigError(f"voxel {double} (scene, x, y, z) is listed twice; list every voxel once")
    was, is_now = n_before == 1, n_after == 1
    chosen = (was, was & ~is_now, is_now & ~was, was | is_now)
    return ChangeCounts(*(torch.bincount(voxels[which, 0], minlength=n_scenes)[:, None] for which in chosen))


def _shared(before: Tensor, after: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the decisions (B, P) that two bool tensors (B, ...) share: the first ones along every dimension."""
    if after is None or before.ndim != after.ndim:
        nothing = before.new_zeros(len(before), 0)
        return nothing, nothing
    for dim in range(1, before.ndim):
        size = min(before.shape[dim], after.shape[dim])
        before, after = before.narrow(dim, 0, size), after.narrow(dim, 0, size)
    return before.reshape(len(before), -1), after.reshape(len(after), -1)
