"""MinkUNet (Choy et al. 2019): a sparse residual U-Net that labels voxels; modules have the published names."""

from collections.abc import Mapping

from torch import Tensor, nn

from lgm_bench.sparse import (
    SparseBatchNorm,
    SparseConv3d,
    SparseConvTranspose3d,
    SparseTensor,
    activated,
    joined,
)
from lgm_bench.sparse.cost import count_products

STEM_WIDTH = 32
RELU = 0.0


class SparseBasicBlock(nn.Module):
    """conv - BN - ReLU - conv - BN on the same voxels, with a 1x1x1 shortcut if the width changes."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = SparseConv3d(in_channels, channels, 3)
        self.norm1 = SparseBatchNorm(channels)
        self.conv2 = SparseConv3d(channels, channels, 3)
        self.norm2 = SparseBatchNorm(channels)
        self.downsample = (
            None
            if in_channels == channels
            else nn.Sequential(SparseConv3d(in_channels, channels, 1), SparseBatchNorm(channels))
        )

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return relu(shortcut + residual)."""
        residual = self.norm2(self.conv2(self.norm1(self.conv1(x), after=RELU)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return activated(residual.with_features(residual.features + shortcut.features))


class MinkUNet(nn.Module):
    """U-Net of four halvings and four doublings of the resolution, with a skip connection at each.

    Args:
        in_channels: Channels of the voxels' features.
        out_channels: Number of classes.
        planes: Widths of the eight stages.
        blocks: Number of residual blocks in each stage.
        first_kernel: Size of the first convolution.
        stem: Width of the first convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        planes: tuple[int, ...],
        blocks: tuple[int, ...],
        first_kernel: int = 5,
        stem: int = STEM_WIDTH,
    ) -> None:
        super().__init__()
        self.conv0p1s1 = SparseConv3d(in_channels, stem, first_kernel)
        self.bn0 = SparseBatchNorm(stem)
        width, skips = stem, [stem]
        for stage in range(1, 5):
            self.add_module(f"conv{stage}p{2 ** (stage - 1)}s2", SparseConv3d(width, width, 2, 2))
            self.add_module(f"bn{stage}", SparseBatchNorm(width))
            self.add_module(f"block{stage}", _blocks(width, planes[stage - 1], blocks[stage - 1]))
            width = planes[stage - 1]
            skips.append(width)
        for stage in range(4, 8):
            self.add_module(f"convtr{stage}p{2 ** (8 - stage)}s2", SparseConvTranspose3d(width, planes[stage], 2, 2))
            self.add_module(f"bntr{stage}", SparseBatchNorm(planes[stage]))
            joint = planes[stage] + skips[7 - stage]
            self.add_module(f"block{stage + 1}", _blocks(joint, planes[stage], blocks[stage]))
            width = planes[stage]
        self.final = SparseConv3d(width, out_channels, 1, bias=True)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return logits (N, out_channels) on the voxels of `x` (N, in_channels).

        The output of the last layer is not multiplied by the occupancy; this replaces the division in Eq. (39) of Tao
        et al. 2024.
        """
        x = self.bn0(self.conv0p1s1(x), after=RELU)
        skips = [x]
        for stage in range(1, 5):
            down = self.get_submodule(f"conv{stage}p{2 ** (stage - 1)}s2")
            x = self.get_submodule(f"bn{stage}")(down(x), after=RELU)
            x = self.get_submodule(f"block{stage}")(x)
            skips.append(x)
        skips.pop()
        for stage in range(4, 8):
            skip = skips.pop()
            up = self.get_submodule(f"convtr{stage}p{2 ** (8 - stage)}s2")
            x = self.get_submodule(f"bntr{stage}")(up(x, skip.level), after=RELU)
            x = self.get_submodule(f"block{stage + 1}")(joined(x, skip))
        count_products(x.coordinates[:, 0], *self.final.weight.shape[1:])
        logits = x.features @ self.final.weight[0] + self.final.bias
        return x.with_features(logits)


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a state dict of MinkowskiEngine to this project's layout.

    MinkowskiEngine names weights `kernel`, with shape (C_in, C_out) for size 1, and has biases (1, C_out).
    """
    return dict(_converted(key, value) for key, value in state.items())


def _converted(key: str, value: Tensor) -> tuple[str, Tensor]:
    if key.endswith(".kernel"):
        return key.removesuffix("kernel") + "weight", value if value.ndim == 3 else value.unsqueeze(0)
    if key.endswith(".bias") and value.ndim == 2:
        return key, value.squeeze(0)
    return key, value


def _blocks(in_channels: int, channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(SparseBasicBlock(in_channels if i == 0 else channels, channels) for i in range(count)))
