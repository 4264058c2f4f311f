"""Networks of a user's own, named as `tiny_networks:Class`."""

import torch
from torch import Tensor, nn

from lgm_bench import Occupancy


class Linear(nn.Module):
    """Ten classes from a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(images.flatten(1))
        return logits


class Adaptive(Linear):
    """The same, half of the rows of every image switched off by what is in them."""

    def __init__(self) -> None:
        super().__init__()
        self.occupancy = Occupancy()

    def forward(self, images: Tensor) -> Tensor:
        score = images.mean((1, 3), keepdim=True) - images.mean((1, 2, 3), keepdim=True)
        return super().forward(images * self.occupancy(score))


class Broken(Linear):
    """Whose forward pass fails."""

    def forward(self, images: Tensor) -> Tensor:
        raise ValueError(f"no weights for {images.dtype} on {torch.device('cpu')}")
