"""Makes a victim faster to attack: folded batch norms, channels-last memory, no gradients of parameters.

Outputs, decisions and gradients change only in their last float digits.
"""

import copy
import logging
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from victims.channel_gating import ChannelGatedBasic
from victims.dynconv import DynConv, MaskedBasic, MaskedBottleneck
from victims.early_exit import RDIResNet
from victims.moe import MoE
from victims.residual import BasicBranch, BottleneckBranch
from victims.resnet_cifar import BasicBlock, ResNetCIFAR
from victims.skipnet import SkipNet

log = logging.getLogger(__name__)

Victim = TypeVar("Victim", bound=nn.Module)

_NUMBERED = (
    BasicBranch,
    BottleneckBranch,
    MaskedBasic,
    MaskedBottleneck,
    ChannelGatedBasic,
    MoE,
    DynConv,
    SkipNet,
    BasicBlock,
    ResNetCIFAR,
    RDIResNet,
)
"""This package's modules in which bn{i} is applied exactly to the output of conv{i}."""


def folded(victim: Victim) -> Victim:
    """Return a copy of `victim` in evaluation mode with frozen parameters, for many forward and backward passes.

    Batch norms that directly follow a convolution are folded into it: in an `nn.Sequential`, and as conv{i}, bn{i} in
    the networks of this package and torchvision's ResNets. If the order of a module's layers is not certain (your own
    network, a subclass, a layer with hooks), its batch norms are kept and logged. The victim itself is not changed.

    Args:
        victim: Any module; networks on 4-dimensional inputs become faster.
    """
    copied = copy.deepcopy(victim).eval()
    for module in list(copied.modules()):
        # Exact types, since a subclass may use the same layers in another order.
        if type(module) is nn.Sequential:
            _fold_sequential(module)
        elif type(module) in _NUMBERED or type(module).__module__ == "torchvision.models.resnet":
            _fold_numbered(module)
    kept = [name for name, module in copied.named_modules() if isinstance(module, _BatchNorm)]
    if kept:
        log.info("%d batch norms are not folded, %s first", len(kept), kept[0])
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
    """Return a convolution that replaces both, or None unless they are a plain pair with running statistics."""
    if type(conv) is not nn.Conv2d or type(norm) is not nn.BatchNorm2d or norm.running_var is None:
        return None
    return None if _hooked(conv) or _hooked(norm) else fuse_conv_bn_eval(conv, norm)


def _hooked(module: nn.Module) -> bool:
    """Return whether a layer has hooks, which would see other values after folding."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind) for kind in kinds)
