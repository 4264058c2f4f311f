"""The victims for CIFAR-10, images of 32 x 32 pixels.

Residual networks have 6n + 2 layers in three groups of widths 16, 32 and 64.
"""

from functools import partial

from victims.dynconv import DynConv
from victims.image_victim import CIFAR10_MEAN, CIFAR10_STD, IMAGENET_MEAN, IMAGENET_STD, ImageVictim
from victims.moe import MoE
from victims.resnet_cifar import ResNetCIFAR
from victims.skipnet import SkipNet
from victims.vit import EViT

WIDTHS = (16, 32, 64)


def resnet(depth: int) -> ImageVictim:
    """Return a static victim; the published weights were trained with ImageNet's mean and standard deviation."""
    return ImageVictim(ResNetCIFAR(depth), IMAGENET_MEAN, IMAGENET_STD)


def skipnet(depth: int) -> ImageVictim:
    """Return a SkipNet with the recurrent gate."""
    return ImageVictim(SkipNet(_blocks(depth), WIDTHS), CIFAR10_MEAN, CIFAR10_STD)


def dynconv(depth: int) -> ImageVictim:
    """Return a DynConv of basic blocks."""
    return ImageVictim(DynConv(_blocks(depth), WIDTHS), CIFAR10_MEAN, CIFAR10_STD)


def evit6() -> ImageVictim:
    """Return a transformer of 6 blocks, three of which keep 70 % of the tokens that arrive, of 64 at first."""
    network = EViT(depth=6, keep={1: 45, 3: 32, 4: 23}, width=96, heads=3, stem=(32, 64))
    return ImageVictim(network, CIFAR10_MEAN, CIFAR10_STD)


def moe20() -> ImageVictim:
    """Return a network of 3 plain blocks and 6 mixtures of 3 experts."""
    return ImageVictim(MoE(2, WIDTHS), CIFAR10_MEAN, CIFAR10_STD)


def _blocks(depth: int) -> tuple[int, int, int]:
    count = (depth - 2) // 6
    return count, count, count


resnet20 = partial(resnet, 20)
resnet32 = partial(resnet, 32)
resnet44 = partial(resnet, 44)
resnet56 = partial(resnet, 56)
resnet110 = partial(resnet, 110)

skipnet20 = partial(skipnet, 20)
skipnet26 = partial(skipnet, 26)
skipnet32 = partial(skipnet, 32)
skipnet38 = partial(skipnet, 38)
skipnet74 = partial(skipnet, 74)
skipnet110 = partial(skipnet, 110)

dynconv8 = partial(dynconv, 8)
dynconv14 = partial(dynconv, 14)
dynconv20 = partial(dynconv, 20)
dynconv26 = partial(dynconv, 26)
dynconv32 = partial(dynconv, 32)
