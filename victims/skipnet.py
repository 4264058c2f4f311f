"""SkipNet (Wang et al. 2018): a recurrent gate decides for each block whether it runs."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.leaded import Occupancy
from lgm_bench.leaded.compute import Controls
from victims.residual import BasicBranch, stem

GATE_WIDTH = 10


class RecurrentGate(nn.Module):
    """One LSTM for all blocks, with one step per block, and a layer that maps its output to a score.

    Args:
        convolutional: Whether the score layer is stored as a 1x1 convolution (ImageNet) instead of a linear layer.
    """

    def __init__(self, *, convolutional: bool) -> None:
        super().__init__()
        self.rnn = nn.LSTM(GATE_WIDTH, GATE_WIDTH)
        self.proj = nn.Conv2d(GATE_WIDTH, 1, 1) if convolutional else nn.Linear(GATE_WIDTH, 1)

    def forward(self, features: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return scores (B,) and the new state, given gate features (B, 10)."""
        output, state = self.rnn(features.unsqueeze(0), state)
        score = F.linear(output[0], self.proj.weight.flatten(1), self.proj.bias)
        return score.squeeze(1), state


class SkipNet(nn.Module):
    """Residual network in which a gate decides for each block except the first whether it runs.

    A skipped block is replaced by its skip path: f' = o(x) * Phi(f) + (1 - o(x)) * f (Tao et al. 2024, Eq. 4).

    Args:
        blocks: Number of blocks in each group.
        widths: Width of each group, before the block's expansion.
        block: `BasicBranch` or `BottleneckBranch`.
        imagenet: 7x7 stem with max pooling (True) or 3x3 stem (False).
        num_classes: Number of logits.
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
                if layer.downsample is not None:  # the official keys list the block's own module twice
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
        """Patterns of module names, one per block, such as "group2_{}0" for layer, gate, ds or occupancy."""
        return [f"group{g}_{{}}{i}" for g, count in enumerate(self.blocks, start=1) for i in range(count)]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) for normalized images (B, 3, H, W)."""
        return self._run(x, self.block_output)

    @torch.no_grad()
    def deployed(self, x: Tensor) -> Tensor:
        """Return the hard network's logits, computing no block of an image that skips it."""
        return self._run(x, self._executed_output)

    def controls(self) -> Controls:
        """Return the layers that run where a gate is open; a skip path runs either way."""
        rest = self.block_names[1:]
        layers = ("conv1", "conv2", "conv3")
        gates = {
            name.format("occupancy"): [
                f"{name.format('layer')}.{layer}"
                for layer in layers
                if hasattr(self.get_submodule(name.format("layer")), layer)
            ]
            for name in rest
        }
        return Controls(gates, [name.format("ds") for name in rest if hasattr(self, name.format("ds"))])

    def _run(self, x: Tensor, output: Callable[[str, Tensor, Tensor], Tensor]) -> Tensor:
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        first, *rest = self.block_names
        x = self.get_submodule(first.format("layer"))(x)
        state: tuple[Tensor, Tensor] | None = None
        previous = first
        for name in rest:
            features = self.get_submodule(previous.format("gate"))(x).flatten(1)
            score, state = self.control(features, state)
            x = output(name, x, self.get_submodule(name.format("occupancy"))(score))
            previous = name
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits

    def block_output(self, name: str, x: Tensor, occupancy: Tensor) -> Tensor:
        """Return occupancy * block(x) + (1 - occupancy) * what a skipped block leaves."""
        kept, occupancy = self._kept(name, x), occupancy.view(-1, 1, 1, 1)
        return occupancy * self.get_submodule(name.format("layer"))(x) + (1 - occupancy) * kept

    def _executed_output(self, name: str, x: Tensor, occupancy: Tensor) -> Tensor:
        on = occupancy > 0
        ran, kept = self.get_submodule(name.format("layer"))(x[on]), self._kept(name, x[~on])
        output = ran.new_empty(len(x), *ran.shape[1:])
        output[on], output[~on] = ran, kept
        return output

    def _kept(self, name: str, x: Tensor) -> Tensor:
        skip = getattr(self, name.format("ds"), None)
        return x if skip is None else skip(x)
