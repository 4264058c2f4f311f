"""Residual blocks that compute, per image, some of their inner channels (Bejnordi et al. 2020, "Batch-shaping")."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.leaded import Occupancy
from lgm_bench.leaded.compute import Controls
from victims.residual import BasicBranch

GATE_WIDTH = 16


class ChannelGatedBasic(BasicBranch):
    """Basic block whose inner channels are gated: output = relu(identity + conv2(o * conv1(x))).

    Two linear layers on the globally pooled input make the scores. As a block of `DynConv` it makes a whole network.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__(in_channels, channels, stride)
        self.score = nn.Sequential(nn.Linear(in_channels, GATE_WIDTH), nn.ReLU(), nn.Linear(GATE_WIDTH, channels))
        self.open = Occupancy()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels, H / stride, W / stride) for x (B, in_channels, H, W)."""
        inner = F.relu(self.bn1(self.conv1(x))) * self.occupancy(x)[:, :, None, None]
        return F.relu(self.identity(x) + self.bn2(self.conv2(inner)))

    def occupancy(self, x: Tensor) -> Tensor:
        """Return the occupancy of each inner channel, (B, channels)."""
        occupancy: Tensor = self.open(self.score(x.mean(dim=(2, 3))))
        return occupancy

    def deployed(self, x: Tensor) -> Tensor:
        """Return the hard block's output, image by image with the weights of the open channels only."""
        return torch.cat([self._deployed(image[None], on > 0) for image, on in zip(x, self.occupancy(x), strict=True)])

    def _deployed(self, image: Tensor, on: Tensor) -> Tensor:
        first, second = self.conv1, self.conv2
        bias = None if first.bias is None else first.bias[on]
        computed = F.conv2d(image, first.weight[on], bias, first.stride, first.padding)
        inner = computed.new_zeros(1, len(on), *computed.shape[2:])
        inner[:, on] = computed
        inner = F.relu(self.bn1(inner))[:, on]
        outer = F.conv2d(inner, second.weight[:, on], second.bias, second.stride, second.padding)
        return F.relu(self.identity(image) + self.bn2(outer))

    def controls(self) -> Controls:
        """Return both convolutions, of which a channel is a filter of the first and an input of the second."""
        return Controls({"open": ["conv1", "conv2"]})
