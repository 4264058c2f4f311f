"""MinkowskiFCNN: the sparse shape classifier of MinkowskiEngine's ModelNet40 example, with its module names."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.sparse import SparseBatchNorm, SparseConv3d, SparseTensor, global_average_pool
from lgm_bench.sparse.cost import count_norm, count_products
from lgm_bench.sparse.layers import global_max_pool, joined, max_pool, spread


class MinkowskiFCNN(nn.Module):
    """Features of four scales, concatenated on the finest voxels and pooled to one vector per shape.

    Args:
        in_channels: Channels of the points' features.
        classes: Number of classes.
        embedding: Channels of the last convolution.
        channels: Widths of the point layer and of the four scales.
        hidden: Widths of the two layers before the last one.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        embedding: int = 1024,
        channels: tuple[int, int, int, int, int] = (32, 48, 64, 96, 128),
        hidden: tuple[int, int] = (512, 256),
    ) -> None:
        super().__init__()
        self.mlp1 = PointLayer(in_channels, channels[0])
        self.conv1 = ConvLayer(channels[0], channels[1], 1)
        self.conv2 = ConvLayer(channels[1], channels[2], 2)
        self.conv3 = ConvLayer(channels[2], channels[3], 2)
        self.conv4 = ConvLayer(channels[3], channels[4], 2)
        widths = (sum(channels[1:]), embedding // 4, embedding // 2, embedding)
        self.conv5 = nn.Sequential(*(ConvLayer(a, b, 2) for a, b in pairwise(widths)))
        last = nn.ModuleDict({"linear": nn.Linear(hidden[1], classes)})
        first, second = PointLayer(2 * embedding, hidden[0]), PointLayer(*hidden)
        self.final = nn.Sequential(first, nn.Dropout(), second, last)

    def forward(self, x: SparseTensor) -> Tensor:
        """Return logits (B, classes) of shapes.

        Args:
            x: Features of `mlp1` (N, channels[0]), averaged over the points of each voxel.
        """
        finest = x.level
        scales = []
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = max_pool(layer(x), (3, 3, 3), (2, 2, 2))
            scales.append(spread(x, finest))
        together = scales[0]
        for scale in scales[1:]:
            together = joined(together, scale)
        reduced = self.conv5(together)
        first, dropout, second, last = self.final
        pooled = torch.cat([global_max_pool(reduced), global_average_pool(reduced)], dim=1)
        shapes = torch.arange(len(pooled), device=pooled.device)
        count_products(shapes, *last["linear"].weight.T.shape)
        logits: Tensor = last["linear"](second(dropout(first(pooled, shapes)), shapes))
        return logits


class PointLayer(nn.Sequential):
    """Linear - BN - leaky ReLU on rows of a tensor."""

    def __init__(self, in_channels: int, channels: int) -> None:
        linear = nn.ModuleDict({"linear": nn.Linear(in_channels, channels, bias=False)})
        super().__init__(linear, nn.ModuleDict({"bn": nn.BatchNorm1d(channels)}))

    def forward(self, x: Tensor, shape: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Return (N, channels) for (N, in_channels); `shape` (N,) int64, each row's shape, only serves for counting."""
        linear, norm = self
        rows = len(x) if shape is None else shape
        count_products(rows, *linear["linear"].weight.T.shape)
        count_norm(rows, len(norm["bn"].weight))
        return F.leaky_relu(norm["bn"](linear["linear"](x)))


class ConvLayer(nn.Sequential):
    """3x3x3 convolution - BN - leaky ReLU on voxels."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__(SparseConv3d(in_channels, channels, 3, stride), SparseBatchNorm(channels))

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        """Return features on the same or the coarser voxels."""
        convolution, norm = self
        result: SparseTensor = norm(convolution(x), after=0.01)
        return result
