"""The other layers of sparse networks."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.sparse.cost import count_norm
from lgm_bench.sparse.tensor import SparseTensor


class SparseBatchNorm(nn.Module):
    """Batch norm over voxels, times the occupancy where there is one; the norm itself is `bn`.

    Args:
        channels: Channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return normalized features on the same voxels."""
        count_norm(x.coordinates[:, 0], x.features.shape[1])
        return x.with_features(self.bn(x.features)).occupied()


def activated(x: SparseTensor, function: Callable[[Tensor], Tensor] = torch.relu) -> SparseTensor:
    """Return `function` of the features on the same voxels."""
    return x.with_features(function(x.features))


def joined(x: SparseTensor, other: SparseTensor) -> SparseTensor:
    """Return the channels of both, on their common voxels.

    Raises:
        ConfigError: They lie on different levels.
    """
    if x.level is not other.level:
        raise ConfigError(f"only tensors on one level can be joined, got {x!r} and {other!r}")
    return x.with_features(torch.cat([x.features, other.features], dim=1))


def global_average_pool(x: SparseTensor) -> Tensor:
    """Return the mean of the features over the voxels of each batch entry, (B, C), weighted by occupancy."""
    batch = x.coordinates[:, 0]
    weight = x.features.new_ones(len(batch)) if x.occupancy is None else x.occupancy
    n = int(batch.max()) + 1
    total = weight.new_zeros(n).index_add(0, batch, weight)
    sums = x.features.new_zeros(n, x.features.shape[1]).index_add(0, batch, x.features * weight[:, None])
    return sums / total.clamp(min=torch.finfo(total.dtype).tiny)[:, None]
