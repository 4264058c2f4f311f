"""Miniature victims for handwritten digits.

Those for digits of 32 x 32 pixels are half as wide as the networks for CIFAR-10. Those for digits in ImageNet's layout
have the 7x7 stem and the four groups of the networks for ImageNet, at most an eighth as wide.
"""

from victims.dynconv import DynConv
from victims.image_victim import ImageVictim
from victims.residual import BasicBranch
from victims.resnet_cifar import ResNetCIFAR
from victims.skipnet import SkipNet

WIDTHS = (8, 16, 32)
IMAGENET_WIDTHS = (8, 16, 24, 32)
DIGITS_MEAN, DIGITS_STD = (0.3054,) * 3, (0.3234,) * 3


def resnet8() -> ImageVictim:
    """Return a static victim of 3 blocks."""
    return ImageVictim(ResNetCIFAR(8, width=WIDTHS[0]), DIGITS_MEAN, DIGITS_STD)


def skipnet14() -> ImageVictim:
    """Return a SkipNet of 6 blocks, of which 5 can be skipped."""
    return ImageVictim(SkipNet((2, 2, 2), WIDTHS), DIGITS_MEAN, DIGITS_STD)


def dynconv8() -> ImageVictim:
    """Return a DynConv of 3 blocks."""
    return ImageVictim(DynConv((1, 1, 1), WIDTHS), DIGITS_MEAN, DIGITS_STD)


def resnet10_imagenet() -> ImageVictim:
    """Return a static victim of 4 blocks: `dynconv10_imagenet` without its masks."""
    return ImageVictim(DynConv((1, 1, 1, 1), IMAGENET_WIDTHS, BasicBranch, imagenet=True), DIGITS_MEAN, DIGITS_STD)


def skipnet10_imagenet() -> ImageVictim:
    """Return a SkipNet of 4 blocks, of which 3 can be skipped."""
    return ImageVictim(SkipNet((1, 1, 1, 1), IMAGENET_WIDTHS, imagenet=True), DIGITS_MEAN, DIGITS_STD)


def dynconv10_imagenet() -> ImageVictim:
    """Return a DynConv of 4 blocks."""
    return ImageVictim(DynConv((1, 1, 1, 1), IMAGENET_WIDTHS, imagenet=True), DIGITS_MEAN, DIGITS_STD)
