"""Networks that draw lots, such as those with noisy gates: the mean of several passes."""

import torch
from torch import Tensor, nn

PASSES = 10


class Averaged(nn.Module):
    """The mean of a network's logits over several passes, each with its own random numbers.

    Its gradient is the mean of their gradients: expectation over transformation (Athalye et al. 2018).

    Args:
        network: Maps images to logits.
        passes: Number of passes.
    """

    def __init__(self, network: nn.Module, passes: int = PASSES) -> None:
        super().__init__()
        self.network, self.passes = network, passes
        self.training = network.training  # of this module alone: a dropout layer that stays random is kept so

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) of images (B, C, H, W)."""
        return torch.stack([self.network(images) for _ in range(self.passes)]).mean(dim=0)
