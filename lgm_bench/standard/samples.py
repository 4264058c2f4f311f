"""The images that a user gives to the standard evaluation."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from datamodules.batch import ImageBatch
from lgm_bench.attacks.checks import class_indices
from lgm_bench.errors import ConfigError
from lgm_bench.tasks.tensors import Images

EXPECTED = "expected (images, labels), or a DataLoader or list of such batches"


class Samples:
    """Batches of images, labels and ids, checked and on the network's device; they can be read again and again.

    Samples without ids get one from their content, so that results belong to an image and not to its place.

    Args:
        data: A pair of images (N, C, H, W) in [0, 1] and labels (N,); or a DataLoader, a list, or any other iterable of
            such pairs, or of triples with ids.
        network: The network that will take them.
        batch_size: Number of images per batch, where `data` is a pair.

    Attributes:
        ids: Ids of all samples, in order.
        sha256: Hash of the samples, in order.

    Raises:
        ConfigError: The data is something else, can be read only once, is shuffled or empty, or has a wrong value.
    """

    def __init__(self, data: Any, network: nn.Module, batch_size: int) -> None:
        self.network, self.batches = network, _batches(data, batch_size)
        tensors = [*network.parameters(), *network.buffers()]
        self.device = tensors[0].device if tensors else torch.device("cpu")
        self.ids: list[str] = []
        digest = hashlib.sha256()
        for _, labels, ids, contents in self._read():
            digest.update("\n".join([*contents, *ids, str(labels.tolist())]).encode())
            self.ids += ids
        if not self.ids:
            raise ConfigError(f"the data has no images; {EXPECTED}")
        if len(set(self.ids)) < len(self.ids):
            raise ConfigError("two images have the same id; give every image an id of its own, or none at all")
        self.sha256 = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[ImageBatch]:
        for images, labels, ids, _ in self._read():
            yield ImageBatch(images.to(self.device), labels.to(self.device), ids)

    def first(self, count: int) -> ImageBatch:
        """Return the first samples, however many there are in a batch."""
        found: list[ImageBatch] = []
        for batch in self:
            found.append(batch)
            if sum(len(part.ids) for part in found) >= count:
                break
        images, labels, ids = zip(*found, strict=True)
        return ImageBatch(torch.cat(images)[:count], torch.cat(labels)[:count], list(chain(*ids))[:count])

    def _read(self) -> Iterator[tuple[Tensor, Tensor, list[str], list[str]]]:
        """Yield images, labels, ids and a hash of each image."""
        adapter, seen = Images(), Counter[str]()
        for batch in self.batches:
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                raise ConfigError(f"the data yields a {type(batch).__name__}; {EXPECTED}")
            images, labels = batch[0], class_indices("labels", batch[1])
            if isinstance(images, Tensor) and images.dtype == torch.float64 and not _is_double(self.network):
                images = images.float()
            known = list(map(str, batch[2])) if len(batch) == 3 else None
            adapter.check(self.network, images, labels, known or list(map(str, range(len(labels)))))
            contents = [hashlib.sha256(image.contiguous().numpy().tobytes()).hexdigest() for image in images.cpu()]
            yield images, labels, known or [_unique(content, seen) for content in contents], contents


def _batches(data: Any, batch_size: int) -> Iterable[Any]:
    """Return the data as something that yields batches, each time from the start."""
    if isinstance(data, tuple | list) and len(data) in (2, 3) and isinstance(data[0], Tensor):
        images, labels, *ids = data
        if len(images) != len(labels):
            raise ConfigError(f"{len(images)} images have {len(labels)} labels; every image needs one")
        starts: Sequence[int] = range(0, len(images), batch_size)
        return [tuple(part[start : start + batch_size] for part in (images, labels, *ids)) for start in starts]
    if isinstance(data, DataLoader) and isinstance(data.sampler, RandomSampler):
        raise ConfigError("the DataLoader shuffles, so that no run could continue another; make it with shuffle=False")
    try:
        once = iter(data) is data
    except TypeError as error:
        raise ConfigError(f"the data is a {type(data).__name__}; {EXPECTED}") from error
    if once:
        raise ConfigError(f"the data is an iterator, which can be read only once; {EXPECTED}")
    batches: Iterable[Any] = data
    return batches


def _is_double(network: nn.Module) -> bool:
    return any(parameter.dtype == torch.float64 for parameter in network.parameters())


def _unique(content: str, seen: Counter[str]) -> str:
    """Return an id made of an image's content; of equal images, the second gets "-2" and so on."""
    seen[content] += 1
    return content[:12] + f"-{seen[content]}" * (seen[content] > 1)
