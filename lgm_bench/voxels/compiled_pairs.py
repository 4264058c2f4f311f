"""Sums over the pairs of points and the voxels in their reach, by compiled code that stores no pair.

What is kept for the backward pass has the size of the points or of the voxels; relations are formed again from their
factors along the axes.
"""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lgm_bench.sparse.compiled import FLOATING, call
from lgm_bench.sparse.level import KeySpace, sorted_keys, unique_keys
from lgm_bench.voxels.grid import Grid
from lgm_bench.voxels.neighbours import DIRECTIONS, Reach, reachable
from lgm_bench.voxels.pairs import Pairs
from lgm_bench.voxels.point_cloud import PointCloud
from lgm_bench.voxels.relation import RELATIONS, Relation


class CompiledPairs(Pairs):
    """The pairs of `ListedPairs` by compiled code; see `sparse/pairs.cpp`, and `ListedPairs` for the arguments.

    Points are grouped by their voxels, and a bit for each direction says which neighbours a point reaches.

    Raises:
        DataError: A coordinate is not finite, or too far away.
    """

    def __init__(self, grid: Grid, cloud: PointCloud, *, softens: bool, reach: Reach | None) -> None:
        super().__init__(grid, cloud)
        points = cloud.points.detach()
        own = grid.voxels(points)
        voxels = torch.cat([cloud.scene[:, None], own], dim=1)
        margin = torch.tensor([0, 1, 1, 1]) * softens
        space = KeySpace(voxels.amin(dim=0) - margin, voxels.amax(dim=0) + margin)
        home_keys, home = unique_keys(space.keys(voxels))
        order = sorted_keys(home)[1]
        counts = torch.bincount(home, minlength=len(home_keys))
        begins = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        if softens:
            possible = reachable(grid, points, own, reach)
            shifts = torch.tensor([space.shift(direction) for direction in DIRECTIONS])
            bits, keys, rows = _merged(home_keys, order, begins, possible, shifts)
        else:
            bits, keys, shifts = torch.ones(len(own), dtype=torch.int32), home_keys, torch.zeros(1, dtype=torch.int64)
            rows = torch.arange(len(home_keys), dtype=torch.int32)[:, None]
        self.coordinates, self.own = space.coordinates(keys), rows[home, 0].long()
        others = rows[:, 1:]
        reached = torch.zeros(len(keys), dtype=torch.bool)
        self.reached = reached.index_fill_(0, others[others >= 0].long(), True)
        corner = own[order[begins[:-1]]]
        self._parts = (keys, home_keys, corner, order, begins, bits, rows, shifts)
        sizes = (len(own), len(home_keys), len(keys), len(shifts), torch.get_num_threads())
        self._known_logs: dict[Relation, Tensor] = {}
        self._index = torch.tensor([*(part.data_ptr() for part in self._parts), *sizes])

    def soft_or(self, relation: Relation) -> Tensor:
        result: Tensor = _SoftOr.apply(self.units, self, relation)
        return result

    def mean(self, values: Tensor, relation: Relation | None) -> Tensor:
        units = None if relation is None else self.units
        result: Tensor = _Mean.apply(units, values.to(self.points.dtype), self, relation)
        return result

    def spread(self, values: Tensor, relation: Relation, *, normalized: bool) -> Tensor:
        result: Tensor = _Spread.apply(self.units, values.to(self.points.dtype), self, relation, normalized)
        return result

    def call(self, name: str, relation: Relation | None, *arguments: Tensor | int) -> None:
        """Call a compiled function with the logarithms of a relation's factors, and more arguments."""
        log = 0 if relation is None else self._logs(relation)
        call(f"{name}_{FLOATING[self.points.dtype]}", self._index, log, *arguments)

    def gradient(self, name: str, relation: Relation | None, *arguments: Tensor | int) -> Tensor:
        """Call a compiled gradient, and return that to `units` (N, 3); without a relation it has no meaning."""
        to_units, log = torch.empty_like(self._relative[0]), 0 if relation is None else self._logs(relation)
        place = (self._index, *self._relative, *self._function(relation))
        call(f"{name}_gradient_{FLOATING[self.points.dtype]}", *place, log, *arguments, to_units)
        return to_units

    @cached_property
    def _relative(self) -> tuple[Tensor, Tensor]:
        """How the points lie in voxels: positions (N, 3), and whether they are outside the grid (N, 3)."""
        return self.units.detach().contiguous(), self.outside.contiguous()

    def _function(self, relation: Relation | None) -> tuple[int, Tensor]:
        kind, slope = (0, 1.0) if relation is None else (list(RELATIONS).index(relation.name), relation.slope)
        return kind, self.points.new_tensor([slope])

    def _logs(self, relation: Relation) -> Tensor:
        """Return the logarithms (N, 9) of the relation's factors: three axes, three sides."""
        if relation not in self._known_logs:
            logs = self._relative[0].new_empty(len(self.points), 9)
            place = (self._index, *self._relative, *self._function(relation))
            call(f"logs_{FLOATING[self.points.dtype]}", *place, logs)
            self._known_logs[relation] = logs
        return self._known_logs[relation]


def _merged(
    home_keys: Tensor, order: Tensor, begins: Tensor, possible: Tensor, shifts: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the bits (N,) of what each point reaches, the keys (M,) of all voxels, and the rows (H, 27) of neighbours.

    Args:
        home_keys: (H,) ascending keys of the voxels that hold points.
        order: (N,) points, grouped by these voxels.
        begins: (H + 1,) where each group begins.
        possible: (N, 3, 3) bool, see `reachable`.
        shifts: (27,) difference of a neighbour's key.
    """
    homes = len(home_keys)
    bits, together = torch.empty(len(order), dtype=torch.int32), torch.empty(homes, dtype=torch.int32)
    call("reach_bits", possible.contiguous(), order, begins, homes, bits, together)
    keys, rows = home_keys.new_empty(homes * len(shifts)), torch.empty(homes, len(shifts), dtype=torch.int32)
    count = call("reached_voxels", home_keys, homes, together, shifts, keys, rows)
    return bits, keys[:count].clone(), rows


class _SoftOr(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, units: Tensor, pairs: CompiledPairs, relation: Relation) -> Tensor:
        n_voxels = len(pairs.coordinates)
        out, product = units.new_empty(n_voxels), units.new_empty(n_voxels)
        zeros = torch.empty(n_voxels, dtype=torch.int32)
        pairs.call("soft_or", relation, out, product, zeros)
        ctx.save_for_backward(product, zeros)
        ctx.pairs, ctx.relation = pairs, relation
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.pairs.gradient("soft_or", ctx.relation, *ctx.saved_tensors, gradient.contiguous()), None, None


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        units: Tensor | None,  # noqa: ARG004  it leads the gradient
        values: Tensor,
        pairs: CompiledPairs,
        relation: Relation | None,
    ) -> Tensor:
        values, n_voxels, channels = values.contiguous(), len(pairs.coordinates), values.shape[1]
        out, largest, total = (values.new_empty(size) for size in ((n_voxels, channels), n_voxels, n_voxels))
        pairs.call("mean", relation, values, channels, out, largest, total)
        ctx.save_for_backward(values, out, largest, total)
        ctx.pairs, ctx.relation = pairs, relation
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        values, *results = ctx.saved_tensors
        to_values = torch.zeros_like(values)
        tensors = (values, values.shape[1], *results, gradient.contiguous(), to_values)
        to_units = ctx.pairs.gradient("mean", ctx.relation, *tensors)
        return None if ctx.relation is None else to_units, to_values, None, None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, units: Tensor, values: Tensor, pairs: CompiledPairs, relation: Relation, normalized: bool
    ) -> Tensor:
        values = values.contiguous()
        out = units.new_empty(len(units), values.shape[1])
        pairs.call("spread", relation, normalized, values, values.shape[1], out)
        ctx.save_for_backward(values, out if normalized else None)
        ctx.pairs, ctx.relation, ctx.normalized = pairs, relation, normalized
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        values, out = ctx.saved_tensors
        to_values = torch.empty_like(values)
        tensors = (values, values.shape[1], 0 if out is None else out, gradient.contiguous(), to_values)
        to_units = ctx.pairs.gradient("spread", ctx.relation, ctx.normalized, *tensors)
        return to_units, to_values, None, None, None
