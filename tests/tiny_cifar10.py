"""CIFAR-10 for miniature batches, as data sets of a user's own: `--data tiny_cifar10:TinyCIFAR10`."""

from collections.abc import Iterator
from typing import Any

from datamodules.batch import ImageBatch
from datamodules.cifar10 import CIFAR10DataModule
from datamodules.loaders import ShuffledLoader


class TinyCIFAR10(CIFAR10DataModule):
    """Batches of other contents than the official ones, ten training images held out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"holdout": 10, "verify": False, **options})


class StoppedCIFAR10(TinyCIFAR10):
    """Whose user presses Ctrl-C once, in the middle of the second epoch."""

    pressed = False

    def train_dataloader(self) -> ShuffledLoader[ImageBatch]:
        loader = super().train_dataloader()
        loader.__class__ = _StoppingLoader
        return loader


class _StoppingLoader(ShuffledLoader[ImageBatch]):
    def __iter__(self) -> Iterator[ImageBatch]:
        for number, batch in enumerate(super().__iter__()):
            if self.order.epoch == 1 and number == 1 and not StoppedCIFAR10.pressed:
                StoppedCIFAR10.pressed = True
                raise KeyboardInterrupt
            yield batch
