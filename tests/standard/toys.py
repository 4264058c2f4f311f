"""Networks that each show one thing to the standard evaluation; images are (B, 3, 8, 8) in [0, 1]."""

import torch
from torch import Tensor, nn

from lgm_bench import Occupancy


class Masked(nn.Module):
    """Class 0 for bright images, class 1 for dark ones; a gate decides, so FGM has no gradient at all."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Occupancy()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        on = self.gate(x.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([5 * on, 5 * (1 - on), on - 1, -on], dim=1)


class Rounded(nn.Module):
    """Sees only whether the upper left pixels are bright, and through a step that has no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        steps = 4 * (x[:, :, :4, :4].mean(dim=(1, 2, 3)) > 0.5).to(x) + 0 * x.sum(dim=(1, 2, 3))
        return torch.stack([steps, 2 + 0 * steps, -1 - 0 * steps, -2 - 0 * steps], dim=1)


class Deaf(nn.Module):
    """Answers class 0 to everything."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([3.0, 0.0, 0.0, 0.0]) + 0.01 * x.mean(dim=(1, 2, 3))[:, None]


class Noisy(nn.Module):
    """Adds noise to its answer."""

    scale = 0.1

    def forward(self, x: Tensor) -> Tensor:
        logits = x.flatten(1)[:, :4]
        return logits + self.scale * torch.rand_like(logits)


class Undecided(Masked):
    """As `Masked`, with noise of 0.01 in front of the gate, of which a little is in the answer too."""

    def forward(self, x: Tensor) -> Tensor:
        noise = 0.01 * torch.randn(len(x)).to(x)
        on = self.gate(x.mean(dim=(1, 2, 3)) - 0.5 + noise)
        return torch.stack([5 * on, 5 * (1 - on), on - 1, -on], dim=1) + noise[:, None]


class Constant(nn.Module):
    """Has two gates, of which the second is on for every image, and is cut off from the images."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Occupancy(), Occupancy()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        logits = x[:, :, :2, :2].flatten(1)[:, :4]
        first = self.first(x.mean(dim=(1, 2, 3)) - 0.5)[:, None]
        return logits + first * logits.roll(1, 1) + self.second(torch.ones(len(x), 1)) * logits.square()


class HalfOpen(Masked):
    """Class 0 where its gate is open, also if it is only half open, as in a soft pass over nearly grey images."""

    def forward(self, x: Tensor) -> Tensor:
        on = self.gate(x.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([on, 0.3 + 0 * on, on - 2, on - 3], dim=1)


def grey(level: float, count: int = 4) -> Tensor:
    """Images whose mean is `level`, with some structure."""
    draws = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return 0.1 * (draws - draws.mean(dim=(1, 2, 3), keepdim=True)) + level
