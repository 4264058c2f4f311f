"""The data of an evaluation: what is refused before an attack begins, and ids."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, TensorDataset, WeightedRandomSampler
from toys import Masked, grey

from lgm_bench.errors import ConfigError
from lgm_bench.standard.samples import Samples
from lgm_bench.tasks.tensors import Images

X, LABELS = grey(0.52, 16), torch.zeros(16, dtype=torch.int64)


def samples(data: Any) -> Samples:
    return Samples(data, Masked(), Images(), batch_size=5)


class Own(Dataset):
    """Images with numbers as ids, and with random noise if they are augmented."""

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, number: int) -> tuple[Tensor, int, int]:
        return X[number] + self.noise * torch.rand(()), 0, 10 * number


def test_ids_that_a_loader_turned_into_a_tensor_are_numbers() -> None:
    assert samples(DataLoader(Own(), batch_size=3)).ids == [str(10 * number) for number in range(16)]


@pytest.mark.parametrize(
    "data",
    [
        DataLoader(Own(noise=0.01), batch_size=4),
        DataLoader(TensorDataset(X, LABELS), batch_size=4, sampler=WeightedRandomSampler([1.0] * 16, 16)),
        DataLoader(TensorDataset(X, LABELS), batch_sampler=BatchSampler(RandomSampler(range(16)), 4, drop_last=False)),
    ],
)
def test_data_that_is_not_the_same_twice_is_refused_before_anything_is_attacked(data: Any) -> None:
    torch.manual_seed(0)
    read = samples(data)
    with pytest.raises(ConfigError, match="turn off shuffling and random augmentation"):
        read.first(4)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ((X[:3], LABELS[:3], ["a", "b", "a"]), "2 images have the id 'a'"),
        ((X[:3], LABELS[:3], ["a", "b"]), "3 images have 2 ids"),
        ([(X[:2], LABELS[:2]), (X[:2, :, :6, :6], LABELS[:2])], r"same size, got \[\(3, 6, 6\), \(3, 8, 8\)\]"),
        ((X.bfloat16(), LABELS), "torch.bfloat16.*give them in torch.float32"),
        ((X.half(), LABELS), "torch.float16.*give them in torch.float32"),
        ((X.numpy(), LABELS.numpy()), r"yields a ndarray; expected tensors \(images, labels\)"),
        (Own(), r"give DataLoader\(dataset, 100\)"),
    ],
)
def test_what_is_refused(data: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        samples(data)
