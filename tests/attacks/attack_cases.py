"""What the tests of the single attacks share: every one of them, quick, and small victims in float64."""

from functools import partial

import torch
from ensemble_cases import BITS, Gated, attacked, batch_for, images, perturbed
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench import FGM, LGM, StraightThrough
from lgm_bench.attacks import BIM, FGSM, PGD, AutoPGD, CarliniWagner

__all__ = ["BITS", "LOOPS", "METHODS", "Gated", "Static", "attacked", "batch_for", "images", "only", "perturbed"]

LOOPS = {
    "fgsm": FGSM,
    "bim": partial(BIM, step=1.5 * BITS, steps=8),
    "pgd": partial(PGD, step=1.5 * BITS, steps=8),
    "cw": partial(CarliniWagner, step=1.5 * BITS, steps=8),
    "autopgd": partial(AutoPGD, step=3 * BITS, steps=16),
}
"""By registered name, what makes a quick attack of an eps and options."""

METHODS = [FGM(), LGM(5.0), StraightThrough(5.0)]


class Static(nn.Module):
    """A convolutional classifier without occupancy, smooth, so that a sign never hangs on rounding; float64."""

    def __init__(self, seed: int = 0, classes: int = 5) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, 8, 3, padding=1)
            self.head = nn.Linear(8, classes)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        return 40 * self.head(torch.sin(3 * self.conv(x - 0.5)).mean(dim=(2, 3)))


def only(batch: ImageBatch, rows: list[int]) -> ImageBatch:
    """Some samples of a batch, in the order of `rows`."""
    return ImageBatch(batch.images[rows], batch.labels[rows], [batch.ids[row] for row in rows])
