"""DynConv (Verelst & Tuytelaars 2020): every residual block computes only the positions in its mask."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.leaded import Occupancy
from lgm_bench.leaded.compute import Controls
from victims.residual import BasicBranch, BottleneckBranch, stem


class MaskConv(nn.Module):
    """Scores of output positions: a 3x3 convolution plus a linear layer on the globally pooled input."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, 3, stride=stride, padding=1)
        self.fc = nn.Linear(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (B, 1, H / stride, W / stride) for x (B, C, H, W)."""
        score: Tensor = self.conv(x) + self.fc(x.mean(dim=(2, 3)))[:, :, None, None]
        return score


class Masker(nn.Module):
    """The mask of a block's output positions, and a dilated mask of the positions that its inner layers need.

    Args:
        channels: Channels of the block's input.
        stride: Stride of the block.
        upsample: Resolution of the dilated mask relative to the mask: the stride in bottlenecks, whose first layer
            works at the input's resolution, and 1 in basic blocks.
    """

    change_over = "all"  # over all images, see `metrics.architecture_change`

    def __init__(self, channels: int, stride: int, upsample: int) -> None:
        super().__init__()
        self.maskconv = MaskConv(channels, stride)
        self.mask = Occupancy(inclusive=True)
        self.dilated_mask = Occupancy(used=False)
        self.upsample = upsample
        self.register_buffer("window", torch.ones(1, 1, 3, 3), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the occupancy (B, 1, h, w) and the dilated one (B, 1, h * upsample, w * upsample)."""
        mask = self.mask(self.maskconv(x))
        return mask, self.dilated_mask(self._dilation(mask, x) - 0.5)

    def _dilation(self, mask: Tensor, x: Tensor) -> Tensor:
        if self.upsample > 1:
            spread = mask.new_zeros(mask.shape[0], 1, x.shape[2], x.shape[3])
            spread[:, :, :: self.upsample, :: self.upsample] = mask
            mask = spread
        return F.conv2d(mask, self.window.to(mask.dtype), padding=1)


class MaskedBasic(BasicBranch):
    """Basic block with a mask unit: output = relu(identity + o * residual)."""

    upsample_by_stride = False
    masked_layers: tuple[int, ...] = (1, 2)

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__(in_channels, channels, stride)
        self.masker = Masker(in_channels, stride, upsample=stride if self.upsample_by_stride else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels * expansion, H / stride, W / stride) for x (B, in_channels, H, W).

        Inner positions outside the dilated mask do not affect the output, so they are not masked.
        """
        mask, _ = self.masker(x)
        return F.relu(self.identity(x) + mask * self.residual(x))

    def deployed(self, x: Tensor) -> Tensor:
        """Return the hard block's output, computing each layer only at the positions that its mask switches on."""
        shortcut, (mask, dilated) = self.identity(x), self.masker(x)
        *inner, last = self.masked_layers
        for layer in inner:
            x = F.relu(self._at(layer, x, dilated if layer == self.masked_layers[0] else mask))
        return F.relu(shortcut + self._at(last, x, mask))

    def controls(self) -> Controls:
        """Return the layers that run at the positions of either mask."""
        first, *later = (f"conv{layer}" for layer in self.masked_layers)
        return Controls({"masker.dilated_mask": [first], "masker.mask": later})

    def _at(self, layer: int, x: Tensor, mask: Tensor) -> Tensor:
        """Return a normed convolution of x at the positions of a hard mask (B, 1, h, w), and 0 elsewhere."""
        conv, norm = self.get_submodule(f"conv{layer}"), self.get_submodule(f"bn{layer}")
        patches = F.unfold(x, conv.kernel_size, padding=conv.padding, stride=conv.stride)  # (B, C * k * k, h * w)
        on = mask.flatten(1) > 0
        computed = F.linear(patches.transpose(1, 2)[on], conv.weight.flatten(1), conv.bias)
        output = x.new_zeros(len(x), mask[0].numel(), len(conv.weight))
        output[on] = norm(computed[:, :, None, None])[:, :, 0, 0]
        return output.transpose(1, 2).unflatten(2, mask.shape[2:])


class MaskedBottleneck(MaskedBasic, BottleneckBranch):
    """Bottleneck block with a mask unit."""

    upsample_by_stride = True
    masked_layers = (1, 2, 3)
    expansion = BottleneckBranch.expansion
    residual = BottleneckBranch.residual


class DynConv(nn.Module):
    """Residual network with a mask unit in every block; key names as in torchvision's ResNet.

    Args:
        blocks: Number of blocks in each group.
        widths: Width of each group, before the block's expansion.
        block: `MaskedBasic` or `MaskedBottleneck`; `BasicBranch` makes the network static.
        imagenet: 7x7 stem with max pooling (True) or 3x3 stem (False).
        num_classes: Number of logits.
    """

    def __init__(
        self,
        blocks: tuple[int, ...],
        widths: tuple[int, ...],
        block: type[BasicBranch] = MaskedBasic,
        *,
        imagenet: bool = False,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        channels = widths[0]
        self.conv1, self.bn1, self.pool = stem(channels, imagenet=imagenet)
        self.group_names = [f"layer{group}" for group in range(1, len(blocks) + 1)]
        for name, count, width in zip(self.group_names, blocks, widths, strict=True):
            layers = []
            for index in range(count):
                stride = 2 if name != "layer1" and index == 0 else 1
                layers.append(block(channels, width, stride))
                channels = width * block.expansion
            self.add_module(name, nn.Sequential(*layers))
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) for normalized images (B, 3, H, W)."""
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        for name in self.group_names:
            x = self.get_submodule(name)(x)
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits

    @torch.no_grad()
    def deployed(self, x: Tensor) -> Tensor:
        """Return the hard network's logits; blocks compute only the positions that their masks switch on."""
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        for name in self.group_names:
            for block in self.get_submodule(name):
                x = block.deployed(x)
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits
