"""A network of two scalar decisions whose leaded gradient can be written down."""

import torch
from torch import Tensor, nn

from lgm_bench import Occupancy


class Gated(nn.Module):
    """y = o(q2) * (h - 2)^2 + h with h = o(q1) * x^2 + (1 - o(q1)) * x, q1 = x - 1 and q2 = h - threshold."""

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold
        self.first, self.second = Occupancy(), Occupancy(inclusive=True)

    def forward(self, x: Tensor) -> Tensor:
        occupancy = self.first(x - 1)
        h = occupancy * x**2 + (1 - occupancy) * x
        return self.second(h - self.threshold) * (h - 2) ** 2 + h


def points() -> Tensor:
    return torch.tensor([-1.3, 0.2, 0.9, 1.1, 2.6], dtype=torch.float64)


def gradient(network: nn.Module, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(network(x).sum(), x)[0]
