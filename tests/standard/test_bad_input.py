"""What `lgm_bench.evaluate` refuses, and what it says."""

from functools import partial

import pytest
import torch
from attack_cases import Gated, images
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import lgm_bench
from lgm_bench import LGM
from lgm_bench.errors import ConfigError, UnknownNameError

quickly = partial(lgm_bench.evaluate, eps=44 / 255, budget="standard-fast", progress=False)


class Binary(nn.Module):
    """Has one logit, as networks for two classes may have."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).sum(dim=1, keepdim=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": "net"}, "must be an nn.Module, got str"),
        ({"network": Gated().train()}, r"call victim.eval\(\)"),
        ({"network": lgm_bench.Leaded(Gated(), LGM())}, "give the network itself"),
        ({"data": DataLoader(TensorDataset(images(4), torch.zeros(4).long()), shuffle=True)}, "shuffle=False"),
        ({"data": iter([])}, "can be read only once"),
        ({"data": []}, "has no images"),
        ({"data": 3}, "is a int; expected"),
        ({"data": (images(4), torch.zeros(3).long())}, "4 images have 3 labels"),
        ({"data": (images(4) * 255, torch.zeros(4).long())}, r"images must lie in \[0, 1\]"),
        ({"data": (images(4), torch.zeros(4))}, "labels must be whole numbers"),
        ({"data": (images(4), torch.full((4,), 9))}, "class 9 is out of range"),
        ({"eps": 8}, "write 8/255"),
        ({"eps": -0.1}, "at least 0"),
        ({"eps": "x"}, "eps must be a number such as 8/255, got 'x'"),
        ({"eps": None, "norm": "l2"}, "the norm l2 has no usual eps"),
        ({"eps": 0, "norm": "l2"}, "eps 0 changes no image"),
        ({"network": Binary().eval()}, r"one logit per sample.*returns \[0, z\]"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_bad_input(change: dict, said: str) -> None:
    given = {"network": Gated(), "data": (images(4), torch.zeros(4).long())} | change
    with pytest.raises(ConfigError, match=said):
        quickly(given.pop("network"), given.pop("data"), **given)


def test_unknown_names() -> None:
    data = (images(4), torch.zeros(4).long())
    with pytest.raises(UnknownNameError, match="linf"):
        lgm_bench.evaluate(Gated(), data, norm="l_inf", progress=False)
    with pytest.raises(UnknownNameError, match="standard-fast"):
        lgm_bench.evaluate(Gated(), data, budget="fast", progress=False)
