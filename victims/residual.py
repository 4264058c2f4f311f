"""Parts of the adaptive residual networks: stem, basic and bottleneck blocks, with the official key names."""

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBranch(nn.Module):
    """conv3x3 - BN - ReLU - conv3x3 - BN, and a downsampling shortcut if the shape changes."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = shortcut(in_channels, channels, stride)

    def residual(self, x: Tensor) -> Tensor:
        """Return the output of the residual branch."""
        branch: Tensor = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return branch

    def identity(self, x: Tensor) -> Tensor:
        """Return the output of the shortcut."""
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(identity + residual)."""
        return F.relu(self.identity(x) + self.residual(x))


class BottleneckBranch(BasicBranch):
    """conv1x1 - conv3x3 (stride) - conv1x1, each with BN; the output is four times as wide."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        nn.Module.__init__(self)
        width = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = shortcut(in_channels, width, stride)

    def residual(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        branch: Tensor = self.bn3(self.conv3(x))
        return branch


def shortcut(in_channels: int, channels: int, stride: int) -> nn.Sequential | None:
    """Return the 1x1 convolution and BN that adapt a block's input to its output; None if the shapes agree."""
    if stride == 1 and in_channels == channels:
        return None
    conv = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


def stem(channels: int, *, imagenet: bool) -> tuple[nn.Conv2d, nn.BatchNorm2d, nn.Module]:
    """Return the first convolution, its norm and its pooling: 7x7 and a quarter of the size, or 3x3 at full size."""
    if imagenet:
        return nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.MaxPool2d(3, 2, 1)
    return nn.Conv2d(3, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.Identity()
