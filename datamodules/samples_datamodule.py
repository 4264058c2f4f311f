"""The base of all datamodules: common options, the limit, and the samples that remain to be done."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from datamodules.batch import ImageBatch
from datamodules.content import batches_sha256
from datamodules.location import data_folder, reading
from datamodules.sampler import RankStridedSampler, rank_and_world
from lgm_bench.errors import ConfigError, DataError, did_you_mean

WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32)
"""Types of labels that become int64."""


class SamplesDataModule(LightningDataModule):
    """Base of datamodules whose `test_dataloader` yields a named subset of labelled samples.

    Args:
        data_root: The data set's folder. None: `$LGM_BENCH_DATA/<name>`, else `./data/<name>`.
        batch_size: Samples per batch and process.
        limit: Number of samples to use, the first ones of the subset; None: all.
        subset: One of `subsets`.

    Attributes:
        task: Name of the task, such as "images" or "segmentation".
        ignored_classes: Classes that have a logit but that no metric counts.
        done: Ids that `test_dataloader` leaves out; set it before the loader is made.
        share: The share of the samples that `test_dataloader` yields: (index, number of shares); None: this process's.

    Raises:
        ConfigError: batch_size or limit is below 1, or the subset is unknown.
    """

    name: str
    task: str
    num_classes: int
    class_names: Sequence[str]
    ignored_classes: tuple[int, ...] = ()
    subsets: Sequence[str]
    default_batch_size = 100

    def __init__(self, data_root: Path | str | None, batch_size: int, limit: int | None, subset: str) -> None:
        super().__init__()
        require_positive("batch_size", batch_size)
        if limit is not None:
            require_positive("limit", limit)
        if subset not in self.subsets:
            raise ConfigError(f"{self.name} has no subset {subset!r}{did_you_mean(subset, self.subsets)}")
        self.data_root = self.folder(data_root)
        self.batch_size, self.limit, self.subset = batch_size, limit, subset
        self.done: set[str] = set()
        self.share: tuple[int, int] | None = None
        # More processes than samples is not an error: Lightning leaves out the processes without samples.
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def folder(self, data_root: Path | str | None) -> Path:
        """Return the data set's folder, given the option `data_root`."""
        return data_folder(self.name, data_root)

    def sample_ids(self) -> list[str]:
        """Return the ids of the subset's samples in order, after applying the limit; `done` has no effect on it.

        Raises:
            DataError: Two samples have the same id, so their results could not be distinguished.
        """
        with reading(self.name):
            ids = self.subset_ids()[: self.limit]
        if len(set(ids)) < len(ids):
            twice = next(sample_id for sample_id, times in Counter(ids).items() if times > 1)
            raise DataError(
                f"{self.name} in {self.data_root} has the sample {twice!r} more than once in its subset "
                f"{self.subset!r}. Remove the duplicates, from the subset's list if there is one."
            )
        return ids

    @abstractmethod
    def subset_ids(self) -> list[str]:
        """Return the ids of all samples of the subset, in order."""

    def content_sha256(self) -> str:
        """Return the sha256 of the samples of `sample_ids()`: of their inputs, labels and ids.

        Results are reused only while it stays the same. This method reads every sample once, from `test_dataloader`. A
        subclass can hash its files or its arrays in memory instead, which is faster (see `datamodules.content`).

        Raises:
            DataError: A sample cannot be read.
        """
        return batches_sha256(self)

    def test_sampler(self) -> RankStridedSampler:
        """Return the sampler of this process's share of `sample_ids()`, without those in `done`."""
        ids = self.sample_ids()
        done = [index for index, sample_id in enumerate(ids) if sample_id in self.done]
        rank, world = self.share or rank_and_world()
        return RankStridedSampler(len(ids), rank, world, done)


class Batches:
    """The batches of a data set's `test_dataloader`, each as inputs, labels and ids.

    A loader may also yield pairs of inputs and labels, as one of a plain `Dataset` does; their ids come from its
    `test_sampler()`. Labels of any integer type become int64, and tensors of float64 become float32.

    Raises:
        DataError: Pairs come in an order of their own, or a batch is something else.
    """

    def __init__(self, data: SamplesDataModule) -> None:
        self.data, self.loader = data, data.test_dataloader()

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        kind, sampler = type(self.data).__name__, getattr(self.loader, "sampler", None)
        known = self.data.sample_ids() if isinstance(sampler, RankStridedSampler) else None
        names = iter([known[index] for index in sampler] if known is not None else ())
        for batch in self.loader:
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                raise DataError(
                    f"{kind} yields a {type(batch).__name__}; its test_dataloader has to yield inputs, labels and ids, "
                    "such as a datamodules.batch.ImageBatch"
                )
            if len(batch) == 2 and known is None:
                raise DataError(
                    f"{kind} yields pairs without ids; give its loader sampler=self.test_sampler(), which says what "
                    "their ids are, or yield an ImageBatch"
                )
            inputs, labels, ids = (*batch, list(islice(names, len(batch[1]))))[:3]
            narrow = isinstance(inputs, Tensor) and inputs.dtype == torch.float64  # as numpy arrays are
            labels = labels.long() if isinstance(labels, Tensor) and labels.dtype in WHOLE else labels
            make = type(batch) if hasattr(batch, "_fields") else ImageBatch
            yield make(inputs.float() if narrow else inputs, labels, ids)


def require_positive(option: str, value: int) -> None:
    """Raise ConfigError unless an option's value is an integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ConfigError(f"{option} must be a whole number of at least 1, not {value!r}")


def require_holdout(holdout: int, subset: str, what: str) -> None:
    """Raise ConfigError unless holdout is at least 0, or above 0 for the subset "holdout"."""
    if not isinstance(holdout, int) or holdout < 0 or (subset == "holdout" and holdout == 0):
        raise ConfigError(f"holdout must be the number of training {what} to hold out, not {holdout!r}")


class ImageDataModule(SamplesDataModule):
    """Base of datamodules whose `test_dataloader` yields a named subset of labelled images as `ImageBatch`es."""

    task = "images"
