"""Untrained networks in which everything matters that a test may want to get wrong."""

import torch
from torch import nn


def shake(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give an untrained network batch norms and scores that matter: decisions of both kinds, no unit variance."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.0, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
    for name, parameter in network.named_parameters():
        if "control." in name or "_gate" in name:  # a gate that reacts to what it sees
            parameter.data.mul_(4)
        if "control.proj.bias" in name or ("maskconv" in name and name.endswith("bias")):
            parameter.data.zero_()
    return network
