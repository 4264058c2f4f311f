"""Miniature victims for the handwritten digits that every machine has: few layers, half as wide as for CIFAR-10."""

from victims.dynconv import DynConv
from victims.image_victim import ImageVictim
from victims.resnet_cifar import ResNetCIFAR
from victims.skipnet import SkipNet

WIDTHS = (8, 16, 32)
DIGITS_MEAN, DIGITS_STD = (0.3054,) * 3, (0.3234,) * 3


def resnet8() -> ImageVictim:
    """Return a static victim of 3 blocks."""
    return ImageVictim(ResNetCIFAR(8, width=WIDTHS[0]), DIGITS_MEAN, DIGITS_STD)


def skipnet14() -> ImageVictim:
    """Return a SkipNet of 6 blocks, 5 of which can be skipped."""
    return ImageVictim(SkipNet((2, 2, 2), WIDTHS), DIGITS_MEAN, DIGITS_STD)


def dynconv8() -> ImageVictim:
    """Return a DynConv of 3 blocks."""
    return ImageVictim(DynConv((1, 1, 1), WIDTHS), DIGITS_MEAN, DIGITS_STD)
