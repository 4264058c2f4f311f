"""A victim made faster for attacks: batch norms folded into convolutions, channels-last memory, no parameter gradients.

Outputs, decisions and gradients change in their last float digits only.
"""

import copy
import logging
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from victims.dynconv import DynConv, MaskedBasic, MaskedBottleneck
from victims.early_exit import RDIResNet
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
    DynConv,
    SkipNet,
    BasicBlock,
    ResNetCIFAR,
    RDIResNet,
)
"""Modules of ours in which bn{i} is applied to what conv{i} returns, and to nothing else."""


def folded(victim: Victim) -> Victim:
    """Return a copy of `victim` in evaluation mode with frozen parameters, for many forward and backward passes.

    Every batch norm that directly follows a convolution is folded into it: in an `nn.Sequential`, and as conv{i},
    bn{i} in the networks of this package and torchvision's ResNets. Nothing is guessed: where the order of a module's
    layers is not known (a network of your own, a subclass, a layer with hooks), its batch norms are left as they are
    and named in the log. The victim itself is not touched.

    Args:
        victim: Any module; 4-dimensional inputs profit.
    """
    copied = copy.deepcopy(victim).eval()
    for module in list(copied.modules()):
        # Exact types: a subclass may use the same layers in another order.
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
    """Return one convolution in place of both, or None unless they are a plain pair with running statistics."""
    if type(conv) is not nn.Conv2d or type(norm) is not nn.BatchNorm2d or norm.running_var is None:
        return None
    return None if _hooked(conv) or _hooked(norm) else fuse_conv_bn_eval(conv, norm)


def _hooked(module: nn.Module) -> bool:
    """Return whether somebody listens to this very layer, and would hear something else, or nothing, once folded."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind) for kind in kinds)
