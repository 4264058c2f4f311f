"""A victim made faster for attacks: batch norms folded into convolutions, channels-last memory, no parameter gradients.

Outputs, decisions and gradients change in their last float digits only.
"""

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from victims.dynconv import DynConv
from victims.residual import BasicBranch
from victims.resnet_cifar import BasicBlock, ResNetCIFAR
from victims.skipnet import SkipNet

Victim = TypeVar("Victim", bound=nn.Module)

_NUMBERED = (BasicBranch, DynConv, SkipNet, BasicBlock, ResNetCIFAR)
"""Modules of ours in which bn{i} is applied to what conv{i} returns, and to nothing else."""


def folded(victim: Victim) -> Victim:
    """Return a copy of `victim` in evaluation mode with frozen parameters, for many forward and backward passes.

    Every batch norm that directly follows a convolution is folded into it: in an `nn.Sequential`, and as conv{i},
    bn{i} in the networks of this package and torchvision's ResNets. Others, such as those of a network of your own,
    are left as they are. The victim itself is not touched.

    Args:
        victim: Any module; 4-dimensional inputs profit.
    """
    copied = copy.deepcopy(victim).eval()
    for module in list(copied.modules()):
        if isinstance(module, nn.Sequential):
            _fold_sequential(module)
        elif isinstance(module, _NUMBERED) or type(module).__module__ == "torchvision.models.resnet":
            _fold_numbered(module)
    return copied.requires_grad_(False).to(memory_format=torch.channels_last)


def _fold_sequential(sequence: nn.Sequential) -> None:
    for index in range(len(sequence) - 1):
        fused = _fused(sequence[index], sequence[index + 1])
        if fused is not None:
            sequence[index], sequence[index + 1] = fused, nn.Identity()


def _fold_numbered(module: nn.Module) -> None:
    children = dict(module.named_children())
    for name, child in children.items():
        norm = name.replace("conv", "bn")
        fused = _fused(child, children.get(norm))
        if fused is not None:
            setattr(module, name, fused)
            setattr(module, norm, nn.Identity())


def _fused(conv: nn.Module, norm: nn.Module | None) -> nn.Conv2d | None:
    """Return one convolution in place of both, or None unless they are a plain pair with running statistics."""
    if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.running_var is not None:
        return fuse_conv_bn_eval(conv, norm)
    return None
