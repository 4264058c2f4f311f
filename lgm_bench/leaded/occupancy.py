"""Occupancy: the place where an adaptive network decides, f' = o(x) * Phi(f) (Tao et al. 2024, Eq. 4)."""

import torch
from torch import Tensor

from lgm_bench.leaded.gradient import Unit


class Occupancy(Unit):
    """Turns a score q into an occupancy o; without parameters or buffers, so checkpoints do not see it.

    Put one wherever a network decides whether to compute something, and multiply by what it returns. Hard by
    default; a `GradientMethod` changes that from outside.

    Args:
        inclusive: Whether a score of exactly 0 counts as occupied (DynConv: q >= 0) or not (SkipNet:
            sigmoid(q) > 0.5).

    >>> import torch
    >>> from lgm_bench import LGM
    >>> unit = Occupancy()
    >>> score = torch.tensor([-1.0, 2.0], requires_grad=True)
    >>> unit(score)
    tensor([0., 1.])
    >>> with LGM(slope=1.0).applied_to(unit):
    ...     unit(score).sum().backward()
    >>> bool((score.grad > 0).all())
    True
    """

    def __init__(self, *, inclusive: bool = False) -> None:
        super().__init__()
        self.inclusive = inclusive

    def hard(self, score: Tensor) -> Tensor:
        """Return the decisions of the hard network, bool, shape of `score`."""
        return score >= 0 if self.inclusive else torch.sigmoid(score) > 0.5

    def forward(self, score: Tensor) -> Tensor:
        """Return the occupancy, of the shape and dtype of `score`, in [0, 1]."""
        method, hard = self.gradient, self.hard(score).to(score.dtype)
        return method.occupancy(method.softened(score, self.slope) if method.softens else hard, hard)

    def extra_repr(self) -> str:
        return f"inclusive={self.inclusive}"
