"""The figures of a result."""

import torch
from torch import Tensor, nn
from toys import grey

import lgm_bench
from lgm_bench import Occupancy
from lgm_bench.leaded.compute import Controls


class Costly(nn.Module):
    """Class 0 where it is bright; a linear layer runs only on dark images."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.branch = Occupancy(), nn.Linear(192, 2)

    def controls(self) -> Controls:
        return Controls({"gate": ["branch"]})

    def forward(self, x: Tensor) -> Tensor:
        dark = 0.5 - x.mean(dim=(1, 2, 3))
        return torch.stack([-dark, dark], dim=1) + 0 * self.gate(dark)[:, None] * self.branch(x.flatten(1))


def test_compute_before_and_after_is_that_of_the_same_images() -> None:
    x, labels = torch.cat([grey(0.2), grey(0.8)]), torch.zeros(8).long()  # wrong on the dark ones, which cost more
    result = lgm_bench.evaluate(Costly().eval(), (x, labels), 1 / 255, budget="standard-fast", progress=False)
    assert result.compute == (0, 0)
