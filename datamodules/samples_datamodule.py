"""What all datamodules share: their options, the limit, and the ids left to do."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning import LightningDataModule

from datamodules.content import batches_sha256
from datamodules.location import data_folder
from datamodules.sampler import RankStridedSampler, rank_and_world
from lgm_bench.errors import ConfigError, DataError, did_you_mean


class SamplesDataModule(LightningDataModule):
    """Base of datamodules whose `test_dataloader` yields a named subset of labelled samples.

    Args:
        data_root: The data set's folder. None: `$LGM_BENCH_DATA/<name>`, else `./data/<name>`.
        batch_size: Samples per batch and process.
        limit: Only the first so many samples of the subset; None: all.
        subset: One of `subsets`.

    Attributes:
        task: What victims do with the samples.
        ignored_classes: Classes that no measure counts, although the logits have a place for them.
        done: Ids that `test_dataloader` leaves out; to be set before the loader is made.
        share: The share that it yields, as index and number of shares; None: this process's.

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
        self.data_root = data_folder(self.name, data_root)
        self.batch_size, self.limit, self.subset = batch_size, limit, subset
        self.done: set[str] = set()
        self.share: tuple[int, int] | None = None
        # Fewer samples than processes is no error: Lightning leaves out the processes that have none.
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def sample_ids(self) -> list[str]:
        """Return the ids of the subset's samples in order, with the limit applied; those in `done` are among them.

        Raises:
            DataError: Two samples have one id; results could not be told apart.
        """
        ids = self.subset_ids()[: self.limit]
        if len(set(ids)) < len(ids):
            twice = next(sample_id for sample_id, times in Counter(ids).items() if times > 1)
            raise DataError(
                f"{self.name} in {self.data_root} has the sample {twice!r} more than once in its subset "
                f"{self.subset!r}. Remove all but one, from the list of the subset if there is one."
            )
        return ids

    @abstractmethod
    def subset_ids(self) -> list[str]:
        """Return the ids of all of the subset's samples in order."""

    def content_sha256(self) -> str:
        """Return the sha256 of the samples of `sample_ids()`: of all that a network or a verdict depends on.

        Results are reused only while it stays the same. This method reads every sample once, from `test_dataloader`. A
        data set in files or in memory can override it and hash these, which is faster (`content`).

        Raises:
            DataError: A sample cannot be read.
        """
        return batches_sha256(self)

    def test_sampler(self) -> RankStridedSampler:
        """Return the sampler of this process's share of `sample_ids()` that is not done."""
        ids = self.sample_ids()
        done = [index for index, sample_id in enumerate(ids) if sample_id in self.done]
        rank, world = self.share or rank_and_world()
        return RankStridedSampler(len(ids), rank, world, done)


def require_positive(option: str, value: int) -> None:
    """Raise ConfigError unless an option's value is an integer of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ConfigError(f"{option} must be a whole number of at least 1, not {value!r}")


def require_holdout(holdout: int, subset: str, what: str) -> None:
    """Raise ConfigError unless holdout is a number of samples, above 0 for the subset "holdout"."""
    if not isinstance(holdout, int) or holdout < 0 or (subset == "holdout" and holdout == 0):
        raise ConfigError(f"holdout must be the number of training {what} to hold out, not {holdout!r}")


class ImageDataModule(SamplesDataModule):
    """Base of datamodules whose `test_dataloader` yields a named subset of labelled images as `ImageBatch`es."""

    task = "images"
