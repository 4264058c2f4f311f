"""The victims for ImageNet: four groups of widths 64, 128, 256 and 512, images of 224 x 224 pixels."""

from functools import partial

import torchvision

from victims.dynconv import DynConv, MaskedBasic, MaskedBottleneck
from victims.image_victim import IMAGENET_MEAN, IMAGENET_STD, ImageVictim
from victims.residual import BasicBranch, BottleneckBranch
from victims.skipnet import SkipNet

WIDTHS = (64, 128, 256, 512)
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
FIRST_BOTTLENECK_DEPTH = 50
CLASSES = 1000


def resnet(depth: int) -> ImageVictim:
    """Return torchvision's static network."""
    network = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    return ImageVictim(network, IMAGENET_MEAN, IMAGENET_STD)


def skipnet(depth: int) -> ImageVictim:
    """Return a SkipNet with the recurrent gate."""
    block = BottleneckBranch if depth >= FIRST_BOTTLENECK_DEPTH else BasicBranch
    network = SkipNet(BLOCKS[depth], WIDTHS, block, imagenet=True, num_classes=CLASSES)
    return ImageVictim(network, IMAGENET_MEAN, IMAGENET_STD)


def dynconv(depth: int) -> ImageVictim:
    """Return a DynConv."""
    block = MaskedBottleneck if depth >= FIRST_BOTTLENECK_DEPTH else MaskedBasic
    network = DynConv(BLOCKS[depth], WIDTHS, block, imagenet=True, num_classes=CLASSES)
    return ImageVictim(network, IMAGENET_MEAN, IMAGENET_STD)


resnet18 = partial(resnet, 18)
resnet34 = partial(resnet, 34)
resnet50 = partial(resnet, 50)
resnet101 = partial(resnet, 101)

skipnet18 = partial(skipnet, 18)
skipnet34 = partial(skipnet, 34)
skipnet50 = partial(skipnet, 50)
skipnet101 = partial(skipnet, 101)

dynconv18 = partial(dynconv, 18)
dynconv34 = partial(dynconv, 34)
dynconv50 = partial(dynconv, 50)
dynconv101 = partial(dynconv, 101)
