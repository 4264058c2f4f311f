"""Miniature victims for handwritten digits.

Those for digits of 32 x 32 pixels are half as wide as the networks for CIFAR-10. Those for digits in ImageNet's layout
have the 7x7 stem and the four groups of the networks for ImageNet, at most an eighth as wide.
"""

from victims.channel_gating import ChannelGatedBasic
from victims.dynconv import DynConv
from victims.early_exit import ResNet8TwoExits
from victims.image_victim import ImageVictim
from victims.moe import MoE
from victims.residual import BasicBranch
from victims.resnet_cifar import ResNetCIFAR
from victims.skipnet import SkipNet
from victims.vit import AViT, EViT

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


def channelgate8() -> ImageVictim:
    """Return a network of 3 blocks with gated channels."""
    return ImageVictim(DynConv((1, 1, 1), WIDTHS, ChannelGatedBasic), DIGITS_MEAN, DIGITS_STD)


def moe14() -> ImageVictim:
    """Return a network of 3 plain blocks and 3 mixtures of 3 experts."""
    return ImageVictim(MoE(1, WIDTHS), DIGITS_MEAN, DIGITS_STD)


def evit4() -> ImageVictim:
    """Return a transformer of 4 blocks, three of which keep 70 % of the tokens that arrive, of 64 at first."""
    network = EViT(depth=4, keep={0: 45, 1: 32, 2: 23}, width=32, heads=2, stem=WIDTHS[:2])
    return ImageVictim(network, DIGITS_MEAN, DIGITS_STD)


def avit4() -> ImageVictim:
    """Return a transformer of 4 blocks whose 64 tokens halt one by one."""
    return ImageVictim(AViT(depth=4, width=32, heads=2, stem=WIDTHS[:2]), DIGITS_MEAN, DIGITS_STD)


def earlyexit8() -> ImageVictim:
    """Return a network of 3 blocks with an exit after the first."""
    return ImageVictim(ResNet8TwoExits(thresholds=(0.8,), width=8), DIGITS_MEAN, DIGITS_STD)


def resnet10_imagenet() -> ImageVictim:
    """Return a static victim of 4 blocks: `dynconv10_imagenet` without its masks."""
    return ImageVictim(DynConv((1, 1, 1, 1), IMAGENET_WIDTHS, BasicBranch, imagenet=True), DIGITS_MEAN, DIGITS_STD)


def skipnet10_imagenet() -> ImageVictim:
    """Return a SkipNet of 4 blocks, of which 3 can be skipped."""
    return ImageVictim(SkipNet((1, 1, 1, 1), IMAGENET_WIDTHS, imagenet=True), DIGITS_MEAN, DIGITS_STD)


def dynconv10_imagenet() -> ImageVictim:
    """Return a DynConv of 4 blocks."""
    return ImageVictim(DynConv((1, 1, 1, 1), IMAGENET_WIDTHS, imagenet=True), DIGITS_MEAN, DIGITS_STD)
