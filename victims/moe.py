"""A residual network whose blocks are mixtures of experts: per image, a router chooses one expert (Fedus et al. 2022).

Experts differ in width, so an image's multiply-adds depend on its route. The expert's output is not scaled by the
router's probability, as it is in the publication, since a choice is 0 or 1 here.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.leaded import Choice
from lgm_bench.leaded.compute import Controls
from victims.residual import BasicBranch, stem


class MixtureBlock(nn.Module):
    """relu(x + sum over the experts of occupancy * expert(x)), where one occupancy is 1.

    Args:
        channels: Channels of the input and the output.
        hidden: Inner channels of each expert.
    """

    def __init__(self, channels: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.router, self.choice = nn.Linear(channels, len(hidden)), Choice()
        self.experts = nn.ModuleList(_expert(channels, width) for width in hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels, H, W) for x of the same shape."""
        chosen = self.choice(self.router(x.mean(dim=(2, 3))))
        outputs = [chosen[:, k, None, None, None] * expert(x) for k, expert in enumerate(self.experts)]
        return F.relu(x + torch.stack(outputs).sum(dim=0))

    def deployed(self, x: Tensor) -> Tensor:
        """Return the hard block's output, running each expert for its own images only."""
        chosen, output = self.choice(self.router(x.mean(dim=(2, 3)))) > 0, torch.empty_like(x)
        for on, expert in zip(chosen.unbind(dim=1), self.experts, strict=True):
            if on.any():
                output[on] = F.relu(x[on] + expert(x[on]))
        return output

    def controls(self) -> Controls:
        """Return the experts, one for each decision of the router."""
        return Controls({"choice": [[f"experts.{k}"] for k in range(len(self.experts))]})


def _expert(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
    )


class MoE(nn.Module):
    """Groups of one residual block, which all images go through, and mixtures of experts.

    Args:
        mixtures: Number of mixtures in each group.
        widths: Channels of each group.
        shares: Inner channels of each expert, relative to the group's.
        num_classes: Number of logits.
    """

    def __init__(
        self, mixtures: int, widths: Sequence[int], shares: Sequence[float] = (0.25, 0.5, 1.0), num_classes: int = 10
    ) -> None:
        super().__init__()
        channels = widths[0]
        self.conv1, self.bn1, _ = stem(channels, imagenet=False)
        blocks: list[nn.Module] = []
        for group, width in enumerate(widths):
            blocks.append(BasicBranch(channels, width, 2 if group else 1))
            blocks += [MixtureBlock(width, [int(share * width) for share in shares]) for _ in range(mixtures)]
            channels = width
        self.blocks, self.fc = nn.ModuleList(blocks), nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) for normalized images (B, 3, H, W)."""
        x = F.relu(self.bn1(self.conv1(x)))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits

    @torch.no_grad()
    def deployed(self, x: Tensor) -> Tensor:
        """Return the hard network's logits; every image goes through the experts that its routers choose."""
        x = F.relu(self.bn1(self.conv1(x)))
        for block in self.blocks:
            x = block.deployed(x) if isinstance(block, MixtureBlock) else block(x)
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits
