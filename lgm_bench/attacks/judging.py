"""The verdict on adversarial examples that were made elsewhere."""

import torch
from torch import Tensor, nn

from lgm_bench.attacks.checks import check_victim, class_indices
from lgm_bench.leaded import Leaded, hard_forward
from lgm_bench.tasks.tensors import Images

AT_ONCE = 500


def judge(network: nn.Module, adversarial: Tensor, labels: Tensor) -> Tensor:
    """Return which images have fallen, (B,) bool: the hard network's prediction is not the label.

    Other libraries judge on the model that they attack. Of a `Leaded` network that is the soft one, whose verdict says
    nothing about the network itself.

    Args:
        network: The network itself, in eval mode; of a `Leaded` one, the network inside is judged.
        adversarial: Images (B, C, H, W) in [0, 1].
        labels: True classes, (B,) of any integer type.

    Raises:
        ConfigError: The network is in training mode, or images or labels have a wrong shape or value.

    >>> from torch import nn
    >>> network = nn.Flatten().eval()
    >>> judge(network, torch.tensor([[[[0.9, 0.1]]], [[[0.2, 0.3]]]]), torch.tensor([0, 0]))
    tensor([False,  True])
    """
    network = network.victim if isinstance(network, Leaded) else network
    check_victim(network)
    adapter, labels = Images(), class_indices("labels", labels)
    ids = list(map(str, range(len(labels))))
    adapter.check(network, adversarial, labels, ids)
    fallen = []
    for start in range(0, len(labels), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        logits = hard_forward(network, adversarial[rows])[0]
        fallen.append(adapter.verdict(logits, labels[rows].to(logits.device), None, ids[rows]).fallen)
    return torch.cat(fallen)
