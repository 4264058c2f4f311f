"""Cylinder3D (Zhu et al. 2021): asymmetrical sparse convolutions on a cylindrical grid; published module names."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lgm_bench.sparse import SparseConv3d, SparseTensor, WindowConv3d, WindowInverse3d, joined
from lgm_bench.sparse.chunks import by_chunks
from lgm_bench.sparse.cost import count_norm, count_occupancy, count_products
from lgm_bench.sparse.groups import group_maximum, rows_of
from lgm_bench.sparse.norm import normalized

Size = tuple[int, int, int]
ALONG_PHI, ALONG_RHO = (1, 3, 3), (3, 1, 3)
GRID = (480, 360, 32)
POINT_FEATURES, COMPRESSED = 9, 16


class Cylinder3D(nn.Module):
    """Maps features of points to logits of the voxels that contain them.

    Args:
        classes: Number of classes, including the ignored one.
        width: Channels of the first block.
        grid: Number of cells along rho, phi, z.
        point_channels: Width of a point's features after the point network.
        shared: Whether all kernels of a block use the offsets of its first kernel. The published weights were trained
            in this way and need it. False gives every kernel its own offsets.
    """

    def __init__(
        self,
        classes: int = 20,
        width: int = 16,
        grid: Size = GRID,
        point_channels: int = 256,
        *,
        shared: bool = True,
    ) -> None:
        super().__init__()
        self.cylinder_3d_generator = PointNetwork(point_channels)
        self.cylinder_3d_spconv_seg = VoxelNetwork(classes, width, grid, shared)

    def forward(self, points: Tensor, rows: Tensor, voxels: Tensor, occupancy: Tensor | None = None) -> SparseTensor:
        """Return logits (M, classes) of the voxels.

        Args:
            points: (N, 9) features of the points.
            rows: (N,) int64 index of each point's voxel in `voxels`.
            voxels: (M, 4) int64 = batch, rho, phi, z.
            occupancy: (M,) in [0, 1], or None for the hard network.
        """
        features = self.cylinder_3d_generator(points, rows, len(voxels), occupancy)
        logits: SparseTensor = self.cylinder_3d_spconv_seg(SparseTensor(voxels, features, occupancy))
        return logits


class PointNetwork(nn.Module):
    """Layers on single points, the maximum over each voxel, and a compression.

    With soft occupancies, the output of every linear layer and norm is multiplied by the occupancy of the voxel.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.BatchNorm1d(POINT_FEATURES)]
        before = POINT_FEATURES
        for width in (64, 128, 256):
            layers += [nn.Linear(before, width), nn.BatchNorm1d(width), nn.ReLU()]
            before = width
        self.PPmodel = nn.Sequential(*layers, nn.Linear(before, channels))
        self.fea_compression = nn.Sequential(nn.Linear(channels, COMPRESSED), nn.ReLU())

    def forward(self, points: Tensor, rows: Tensor, n_voxels: int, occupancy: Tensor | None) -> Tensor:
        """Return features (n_voxels, 16) of voxels, given points (N, 9) and each point's voxel `rows` (N,)."""
        inputs = (points,) if occupancy is None else (points, rows_of(occupancy, rows))
        _count(self.PPmodel, len(points), occupancy)
        _count(self.fea_compression, n_voxels, occupancy)
        learns = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self.PPmodel.parameters())
        x = self._of_points(*inputs) if learns or self.training else by_chunks(self._of_points, *inputs)
        return _leaded(self.fea_compression, group_maximum(x, rows, n_voxels), occupancy)

    def _of_points(self, points: Tensor, occupancy: Tensor | None = None) -> Tensor:
        return _leaded(self.PPmodel, points, occupancy)


class VoxelNetwork(nn.Module):
    """U-Net of four downsamplings (the last two keep the resolution in z), a context block, and a head."""

    def __init__(self, classes: int, width: int, grid: Size, shared: bool) -> None:
        super().__init__()
        self.downCntx = AsymmetricBlock(COMPRESSED, width, ALONG_PHI, shared)
        self.resBlock2 = DownBlock(width, 2 * width, (2, 2, 2), grid, shared)
        self.resBlock3 = DownBlock(2 * width, 4 * width, (2, 2, 2), grid, shared)
        self.resBlock4 = DownBlock(4 * width, 8 * width, (2, 2, 1), grid, shared)
        self.resBlock5 = DownBlock(8 * width, 16 * width, (2, 2, 1), grid, shared)
        self.upBlock0 = UpBlock(16 * width, 16 * width, shared)
        self.upBlock1 = UpBlock(16 * width, 8 * width, shared)
        self.upBlock2 = UpBlock(8 * width, 4 * width, shared)
        self.upBlock3 = UpBlock(4 * width, 2 * width, shared)
        self.ReconNet = ContextBlock(2 * width, shared)
        self.logits = SparseConv3d(4 * width, classes, 3, bias=True)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return logits on the voxels of `x`."""
        x = self.downCntx(x)
        skips = []
        for down in (self.resBlock2, self.resBlock3, self.resBlock4, self.resBlock5):
            x, skip = down(x)
            skips.append(skip)
        for up in (self.upBlock0, self.upBlock1, self.upBlock2, self.upBlock3):
            x = up(x, skips.pop())
        logits: SparseTensor = self.logits(joined(self.ReconNet(x), x))
        return logits


class AsymmetricBlock(nn.Module):
    """The sum of two branches, each of a 1x3x3 and a 3x1x3 kernel, in opposite orders.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        first: Size of the first branch's first kernel.
        shared: Whether all kernels use the offsets of that kernel.
    """

    def __init__(self, in_channels: int, channels: int, first: Size, shared: bool) -> None:
        super().__init__()
        second = ALONG_RHO if first == ALONG_PHI else ALONG_PHI
        other = {"offsets_of": first if shared else None}
        self.conv1, self.bn0 = SparseConv3d(in_channels, channels, first), nn.BatchNorm1d(channels)
        self.conv1_2, self.bn0_2 = SparseConv3d(channels, channels, second, **other), nn.BatchNorm1d(channels)
        self.conv2, self.bn1 = SparseConv3d(in_channels, channels, second, **other), nn.BatchNorm1d(channels)
        self.conv3, self.bn2 = SparseConv3d(channels, channels, first), nn.BatchNorm1d(channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return the sum of both branches."""
        one = _step(self.conv1_2, self.bn0_2, _step(self.conv1, self.bn0, x))
        two = _step(self.conv3, self.bn2, _step(self.conv2, self.bn1, x))
        return one.with_features(one.features + two.features)


class DownBlock(AsymmetricBlock):
    """An asymmetrical block followed by a strided 3x3x3 convolution."""

    def __init__(self, in_channels: int, channels: int, stride: Size, grid: Size, shared: bool) -> None:
        super().__init__(in_channels, channels, ALONG_RHO, shared)
        self.pool = WindowConv3d(channels, channels, 3, stride, grid)

    def forward(self, x: SparseTensor) -> tuple[SparseTensor, SparseTensor]:  # type: ignore[override]
        """Return the coarse output and the skip connection."""
        skip = super().forward(x)
        return self.pool(skip), skip


class UpBlock(nn.Module):
    """A convolution, upsampling to the finer voxels, the skip connection, and three more convolutions."""

    def __init__(self, in_channels: int, channels: int, shared: bool) -> None:
        super().__init__()
        self.trans_dilao, self.trans_bn = SparseConv3d(in_channels, channels, 3), nn.BatchNorm1d(channels)
        self.up_subm = WindowInverse3d(channels, channels, 3)
        other = {"offsets_of": ALONG_PHI if shared else None}
        self.conv1, self.bn1 = SparseConv3d(channels, channels, ALONG_PHI), nn.BatchNorm1d(channels)
        self.conv2, self.bn2 = SparseConv3d(channels, channels, ALONG_RHO, **other), nn.BatchNorm1d(channels)
        self.conv3, self.bn3 = SparseConv3d(channels, channels, ALONG_PHI), nn.BatchNorm1d(channels)

    def forward(self, x: SparseTensor, skip: SparseTensor) -> SparseTensor:
        """Return features on the skip connection's voxels."""
        x = self.up_subm(_step(self.trans_dilao, self.trans_bn, x))
        x = x.with_features(x.features + skip.features)
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = _step(conv, norm, x)
        return x


class ContextBlock(nn.Module):
    """Dimension-decomposition context: the input is weighted by the sum of three line kernels with sigmoids."""

    def __init__(self, channels: int, shared: bool) -> None:
        super().__init__()
        first = (3, 1, 1)
        other = {"offsets_of": first if shared else None}
        self.conv1, self.bn0 = SparseConv3d(channels, channels, first), nn.BatchNorm1d(channels)
        self.conv1_2, self.bn0_2 = SparseConv3d(channels, channels, (1, 3, 1), **other), nn.BatchNorm1d(channels)
        self.conv1_3, self.bn0_3 = SparseConv3d(channels, channels, (1, 1, 3), **other), nn.BatchNorm1d(channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return the weighted input."""
        lines = ((self.conv1, self.bn0), (self.conv1_2, self.bn0_2), (self.conv1_3, self.bn0_3))
        weights = [torch.sigmoid(normalized(conv(x), norm).features) for conv, norm in lines]
        return x.with_features(x.features * (weights[0] + weights[1] + weights[2]))


SPCONV_AXES = ((3, 2, 1, 4, 0), (2, 1, 0, 4, 3), (2, 1, 0, 3, 4))
"""Permutations from spconv's kernel axes to this project's, (k, k, k, C_in, C_out) with the spatial axes reversed.

spconv >= 2.2 has (C_out, k, k, k, C_in), 2.0 and 2.1 have (k, k, k, C_out, C_in), and 1.x has (k, k, k, C_in, C_out).
"""


def from_official(state: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Convert a state dict of any version of spconv to this project's layout.

    Args:
        state: Published keys and tensors.
        shapes: Shapes of the network's own tensors, from which the version is inferred.
    """
    kernels = {key: value for key, value in state.items() if value.ndim == 5}

    def fitting(axes: tuple[int, ...]) -> int:
        permuted = {key: kernel.permute(axes).shape for key, kernel in kernels.items()}
        return sum((shape[:3].numel(), *shape[3:]) == shapes.get(key) for key, shape in permuted.items())

    axes = max(SPCONV_AXES, key=fitting)
    return {**state, **{key: kernel.permute(axes).flatten(0, 2).contiguous() for key, kernel in kernels.items()}}


def _step(conv: nn.Module, norm: nn.BatchNorm1d, x: SparseTensor) -> SparseTensor:
    return normalized(conv(x), norm, before=0.01)


def _leaded(layers: nn.Sequential, x: Tensor, occupancy: Tensor | None) -> Tensor:
    for layer in layers:
        x = layer(x)
        if occupancy is not None and not isinstance(layer, nn.ReLU):
            x = x * occupancy[:, None]
    return x


def _count(layers: nn.Sequential, rows: int, occupancy: Tensor | None) -> None:
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            continue
        if isinstance(layer, nn.Linear):
            count_products(rows, layer.in_features, channels := layer.out_features)
        else:
            count_norm(rows, channels := layer.num_features)
        if occupancy is not None:
            count_occupancy(rows, channels)
