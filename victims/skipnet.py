"""SkipNet (Wang et al. 2018): a recurrent gate decides, block by block, whether the next block runs."""

import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.leaded import Occupancy
from victims.residual import BasicBranch, stem

GATE_WIDTH = 10


class RecurrentGate(nn.Module):
    """One LSTM for all blocks, stepped once a block, and the layer that turns its state into a score.

    Args:
        convolutional: Whether the score layer is stored as a 1x1 convolution (ImageNet) or as a linear layer.
    """

    def __init__(self, *, convolutional: bool) -> None:
        super().__init__()
        self.rnn = nn.LSTM(GATE_WIDTH, GATE_WIDTH)
        self.proj = nn.Conv2d(GATE_WIDTH, 1, 1) if convolutional else nn.Linear(GATE_WIDTH, 1)

    def forward(self, features: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return scores (B,) and the new state for gate features (B, 10)."""
        output, state = self.rnn(features.unsqueeze(0), state)
        score = F.linear(output[0], self.proj.weight.flatten(1), self.proj.bias)
        return score.squeeze(1), state


class SkipNet(nn.Module):
    """Residual network whose blocks, except the first, run only where the gate says so.

    A skipped block is replaced by its skip path: f' = o(x) * Phi(f) + (1 - o(x)) * f (Tao et al. 2024, Eq. 4).

    Args:
        blocks: Number of blocks in each group.
        widths: Width of each group, before the block's expansion.
        block: `BasicBranch` or `BottleneckBranch`.
        imagenet: 7x7 stem with max pooling (True) or 3x3 stem (False).
        num_classes: Width of the logits.
    """

    def __init__(
        self,
        blocks: tuple[int, ...],
        widths: tuple[int, ...],
        block: type[BasicBranch] = BasicBranch,
        *,
        imagenet: bool = False,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        self.blocks = blocks
        channels = widths[0]
        self.conv1, self.bn1, self.pool = stem(channels, imagenet=imagenet)
        for group, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
            for index in range(count):
                stride = 2 if group > 1 and index == 0 else 1
                out_channels = width * block.expansion
                layer = block(channels, width, stride)
                if layer.downsample is not None:  # the very module of the block: the official keys list it twice
                    self.add_module(f"group{group}_ds{index}", layer.downsample)
                self.add_module(f"group{group}_layer{index}", layer)
                gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(out_channels, GATE_WIDTH, 1))
                self.add_module(f"group{group}_gate{index}", gate)
                if group > 1 or index > 0:
                    self.add_module(f"group{group}_occupancy{index}", Occupancy())
                channels = out_channels
        self.control = RecurrentGate(convolutional=imagenet)
        self.fc = nn.Linear(channels, num_classes)

    @property
    def block_names(self) -> list[str]:
        """Suffixes that name the blocks in order, such as "group2_{}0" with layer, gate or ds in the braces."""
        return [f"group{g}_{{}}{i}" for g, count in enumerate(self.blocks, start=1) for i in range(count)]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) for normalized images (B, 3, H, W)."""
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        first, *rest = self.block_names
        x = self.get_submodule(first.format("layer"))(x)
        state: tuple[Tensor, Tensor] | None = None
        previous = first
        for name in rest:
            features = self.get_submodule(previous.format("gate"))(x).flatten(1)
            score, state = self.control(features, state)
            occupancy = self.get_submodule(name.format("occupancy"))(score).view(-1, 1, 1, 1)
            skip = getattr(self, name.format("ds"), None)
            kept = x if skip is None else skip(x)
            x = self.block_output(name, x, kept, occupancy)
            previous = name
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits

    def block_output(self, name: str, x: Tensor, kept: Tensor, occupancy: Tensor) -> Tensor:
        """Return occupancy * block(x) + (1 - occupancy) * kept."""
        return occupancy * self.get_submodule(name.format("layer"))(x) + (1 - occupancy) * kept
