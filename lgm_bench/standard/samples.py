"""The samples that a user gives to the standard evaluation: images or point clouds."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler

from datamodules.batch import ImageBatch, PointBatch
from lgm_bench.attacks.checks import class_indices, count_samples
from lgm_bench.errors import ConfigError
from lgm_bench.tasks.adapter import Adapter
from lgm_bench.voxels import PointCloud


class Samples:
    """Batches of inputs, labels and ids, checked and on the network's device; they can be read again and again.

    Samples without ids get one from their content, so that results belong to a sample and not to its place.

    Args:
        data: A pair of images (N, C, H, W) in [0, 1] and labels (N,); or of a `PointCloud` and the labels of its shapes
            (B,) or points (N,). Or a DataLoader, a list, or any other iterable of such pairs, or of triples with ids.
        network: The network that will take them.
        adapter: Adapter of its task.
        batch_size: Number of images per batch, where `data` is a pair. A cloud is one batch.

    Attributes:
        ids: Ids of all samples, in order.
        sha256: Hash of the samples, in order.

    Raises:
        ConfigError: The data is something else, can be read only once, is shuffled or empty, or has a wrong value.
    """

    def __init__(self, data: Any, network: nn.Module, adapter: Adapter, batch_size: int) -> None:
        self.network, self.adapter = network, adapter
        self.images = adapter.task.inputs == "images"
        of_task = "tensors (images, labels)" if self.images else f"(clouds, labels) for task {adapter.task.name!r}"
        self.expected = f"expected {of_task}, or a DataLoader or list of such batches"
        self.batches = self._batches(data, batch_size)
        tensors = [*network.parameters(), *network.buffers()]
        self.device = tensors[0].device if tensors else torch.device("cpu")
        self.ids: list[str] = []
        self._contents: list[str] = []
        digest = hashlib.sha256()
        for _, labels, ids, contents in self._read():
            digest.update("\n".join([*contents, *ids, str(labels.tolist())]).encode())
            self.ids += ids
            self._contents += contents
        if not self.ids:
            raise ConfigError(f"the data has no {adapter.task.sample}s; {self.expected}")
        name, times = Counter(self.ids).most_common(1)[0]
        if times > 1:
            sample = adapter.task.sample
            raise ConfigError(
                f"{times} {sample}s have the id {name!r}; give every {sample} an id of its own, or none at all"
            )
        self.sha256 = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Any]:
        kind = ImageBatch if self.images else PointBatch
        count = 0
        for inputs, labels, ids, contents in self._read():
            if contents != self._contents[count : count + len(contents)]:
                raise ConfigError(
                    f"the data yields other {self.adapter.task.sample}s when it is read again (id {ids[0]!r} is in the "
                    "first batch that differs); turn off shuffling and random augmentation"
                )
            count += len(contents)
            yield kind(inputs.to(self.device), labels.to(self.device), ids)

    def first(self, count: int) -> Any:
        """Return the first samples, however many there are in a batch; of clouds, those of the first batch at most."""
        batches = iter(self)
        found = [next(batches)]
        while self.images and sum(len(batch.ids) for batch in found) < count:
            batch = next(batches, None)
            if batch is None:
                break
            found.append(batch)
        inputs, labels, ids = zip(*found, strict=True)
        some, names = torch.arange(min(count, sum(map(len, ids)))), list(chain(*ids))[:count]
        if self.images:
            return ImageBatch(torch.cat(inputs)[:count], torch.cat(labels)[:count], names)
        return PointBatch(*self.adapter.select(inputs[0], labels[0], some.to(self.device)), names)

    def _read(self) -> Iterator[tuple[Any, Tensor, list[str], list[str]]]:
        """Yield inputs, labels, ids and a hash of each sample."""
        seen, sizes = Counter[str](), set[tuple[int, ...]]()
        for batch in self.batches:
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                raise ConfigError(f"the data yields a {type(batch).__name__}; {self.expected}")
            inputs, labels = batch[0], class_indices("labels", batch[1])
            if isinstance(inputs, Tensor) and inputs.dtype == torch.float64 and not _is_double(self.network):
                inputs = inputs.float()
            known = _texts(batch[2]) if len(batch) == 3 else None
            names = list(map(str, range(count_samples(self.adapter, inputs, labels)))) if known is None else known
            self.adapter.check(self.network, inputs, labels, names)
            values, sample = self.adapter.values(inputs), self.adapter.task.sample
            sizes.add(tuple(values.shape[1:]))
            if len(sizes) > 1:
                raise ConfigError(f"{sample}s must all have the same size, got {sorted(sizes)}; resize or crop them")
            if values.dtype.itemsize < torch.float32.itemsize:
                raise ConfigError(
                    f"the {sample}s are {values.dtype}, in which many signs of a gradient are those of rounding "
                    "errors; give them in torch.float32, and network.float()"
                )
            contents = list(self._hashes(inputs, labels))
            yield inputs, labels, [_unique(content, seen) for content in contents] if known is None else known, contents

    def _hashes(self, inputs: Any, labels: Tensor) -> Iterator[str]:
        """Yield the hash of each sample; labels of points are part of a scene."""
        if self.images:
            for image in inputs.cpu():
                yield _sha256(image)
            return
        for number in range(inputs.n_scenes):
            cloud, own = self.adapter.select(inputs, labels, torch.tensor([number], device=labels.device))
            yield _sha256(cloud.points, cloud.features, own)

    def _batches(self, data: Any, batch_size: int) -> Iterable[Any]:
        """Return the data as something that yields batches, each time from the start."""
        if self.images and isinstance(data, tuple | list) and len(data) in (2, 3) and isinstance(data[0], Tensor):
            images, labels, *ids = data
            if len(images) != len(labels):
                raise ConfigError(f"{len(images)} images have {len(labels)} labels; every image needs one")
            starts: Sequence[int] = range(0, len(images), batch_size)
            return [tuple(part[start : start + batch_size] for part in (images, labels, *ids)) for start in starts]
        if not self.images and isinstance(data, tuple | list) and data and isinstance(data[0], PointCloud):
            return [data]
        if isinstance(data, DataLoader) and isinstance(data.sampler, RandomSampler):
            raise ConfigError(
                "the DataLoader shuffles, so that no run could continue another; make it with shuffle=False"
            )
        if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
            raise ConfigError("the data is a Dataset, which yields single samples; give DataLoader(dataset, 100)")
        try:
            once = iter(data) is data
        except TypeError as error:
            raise ConfigError(f"the data is a {type(data).__name__}; {self.expected}") from error
        if once:
            raise ConfigError(f"the data is an iterator, which can be read only once; {self.expected}")
        batches: Iterable[Any] = data
        return batches


def _sha256(*values: Tensor) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(value.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def _texts(ids: Any) -> list[str]:
    """Return ids as text; a DataLoader makes a tensor of whole numbers."""
    return list(map(str, ids.tolist() if isinstance(ids, Tensor) else ids))


def _is_double(network: nn.Module) -> bool:
    return any(parameter.dtype == torch.float64 for parameter in network.parameters())


def _unique(content: str, seen: Counter[str]) -> str:
    """Return an id made of an image's content; of equal images, the second gets "-2" and so on."""
    seen[content] += 1
    return content[:12] + f"-{seen[content]}" * (seen[content] > 1)
