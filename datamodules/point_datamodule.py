"""The base of the point datamodules: scenes or shapes, a file or a few each, read when they are asked for."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from torch.utils.data import Sampler

from datamodules.batch import PointBatch
from datamodules.content import files_sha256
from datamodules.loaders import BatchLoader, ShuffledLoader
from datamodules.prepared import Prepared
from datamodules.sampler import RankStridedSampler, ShuffledSampler, rank_and_world, seeded_generator
from datamodules.samples_datamodule import SamplesDataModule
from datamodules.scene import Augmentation, Scene, check_scene, collate
from lgm_bench.errors import ConfigError


class PointDataModule(SamplesDataModule):
    """Base of datamodules whose loaders yield `PointBatch`es.

    A subclass lists the scenes of a subset and reads one scene. Subsets are "test" and others. Unless a subclass
    overrides it, the scenes of "train" without those of "holdout" are for training, and those of "holdout" for
    validation.

    Args:
        data_root: The data set's folder. None: `$LGM_BENCH_DATA/<name>`, else `./data/<name>`.
        batch_size: Scenes per batch and process.
        limit: Only the first so many scenes of the subset; None: all.
        subset: One of `subsets`: what `test_dataloader` yields.
        seed: With the epoch, it determines order and augmentation in training.

    Attributes:
        augmentation: How training scenes are changed.
        prepares: Whether reading a scene is slow enough to keep a faster form.
        prepared: The faster forms of scenes that `lgm-bench data prepare` keeps.

    Raises:
        ConfigError: batch_size or limit is below 1, seed below 0, or the subset is unknown.
    """

    augmentation = Augmentation()
    prepares = True
    default_batch_size = 1

    def __init__(
        self,
        data_root: Path | str | None = None,
        batch_size: int = 1,
        limit: int | None = None,
        subset: str = "test",
        seed: int = 0,
    ) -> None:
        super().__init__(data_root, batch_size, limit, subset)
        if seed < 0:
            raise ConfigError(f"seed must be a whole number of at least 0, not {seed!r}")
        self.seed = seed
        self._ids: dict[str, list[str]] = {}

    @abstractmethod
    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset's scenes in order, from what lies on disk.

        Raises:
            DataError: There are none.
        """

    @abstractmethod
    def read(self, scene_id: str) -> Scene:
        """Return a scene from its official files.

        Raises:
            DataError: A file is missing, damaged or not in the layout; it is named.
        """

    @abstractmethod
    def file(self, scene_id: str) -> Path:
        """Return the file or folder that errors about a scene name."""

    def sources(self, scene_id: str) -> Sequence[Path]:  # noqa: ARG002
        """Return all files that a scene is read from, below `data_root`; none where they are not known.

        By their content results and prepared forms are found again.
        """
        return ()

    def reading_options(self) -> str:
        """Return the options that change what `read` returns: a form prepared under others is not used."""
        return ""

    @property
    def prepared(self) -> Prepared:
        return Prepared(self.data_root, self.reading_options())

    def scene(self, scene_id: str) -> Scene:
        """Return a scene, checked; from its prepared form where there is one and its files have not changed since.

        Raises:
            DataError: It cannot be read or used (`check_scene`).
        """
        prepared = self.prepared.load(scene_id, self.sources(scene_id)) if self.prepares else None
        return prepared or self.official_scene(scene_id)

    def official_scene(self, scene_id: str) -> Scene:
        """Return a scene, checked, from its official files.

        Raises:
            DataError: It cannot be read or used (`check_scene`).
        """
        return check_scene(self.read(scene_id), self.file(scene_id), self.task, self.num_classes)

    def setup(self, stage: str | None = None) -> None:
        """List the scenes; none is read yet.

        Raises:
            DataError: There are none.
        """
        if stage in ("fit", "validate"):
            self.training_ids(), self.validation_ids()
        else:
            self.subset_ids()

    def subset_ids(self) -> list[str]:
        """Return the ids of all of the subset's scenes in order."""
        return self.ids_of(self.subset)

    def ids_of(self, subset: str) -> list[str]:
        """Return the ids of all of any subset's scenes in order."""
        if subset not in self._ids:
            self._ids[subset] = self.list_ids(subset)
        return self._ids[subset]

    def content_sha256(self) -> str:
        """Return the sha256 of the scenes' files; of their points and labels where the files are not known.

        Raises:
            DataError: A file cannot be read.
        """
        ids = self.sample_ids()
        files = [self.sources(scene_id) for scene_id in ids]
        return files_sha256(self.data_root, zip(ids, files, strict=True)) if all(files) else super().content_sha256()

    def training_ids(self) -> list[str]:
        """Return the ids of the scenes to train on."""
        held_out = set(self.validation_ids())
        return [scene_id for scene_id in self.ids_of("train") if scene_id not in held_out]

    def validation_ids(self) -> list[str]:
        """Return the ids of the scenes to validate on while training."""
        return self.ids_of("holdout")

    def train_dataloader(self) -> "TrainingSceneLoader":
        """Return shuffled, augmented batches of the training scenes."""
        ids = self.training_ids()
        order = ShuffledSampler(len(ids), self.seed, *rank_and_world())
        return TrainingSceneLoader(self.scene, ids, order, self.batch_size, self.augmentation)

    def val_dataloader(self) -> "SceneLoader":
        """Return this process's share of the validation scenes, in order and as they are."""
        ids = self.validation_ids()
        return SceneLoader(self.scene, ids, RankStridedSampler(len(ids), *rank_and_world()), self.batch_size)

    def test_dataloader(self) -> "SceneLoader":
        """Return this process's share of the subset's scenes that are not done, in order.

        Raises:
            DataError: On iteration, a scene cannot be read or used; its file is named.
        """
        return SceneLoader(self.scene, self.sample_ids(), self.test_sampler(), self.batch_size)


class SceneLoader(BatchLoader[PointBatch]):
    """Yields scenes as they are.

    Args:
        read: Scene id to scene.
        ids: N scene ids.
        sampler: The indices to yield.
        batch_size: Scenes per batch; the last batch may be smaller.
    """

    def __init__(
        self, read: Callable[[str], Scene], ids: Sequence[str], sampler: Sampler[int], batch_size: int
    ) -> None:
        super().__init__(sampler, batch_size)
        self.read, self.ids = read, ids

    def _batch(self, number: int, indices: list[int]) -> PointBatch:  # noqa: ARG002
        ids = [self.ids[index] for index in indices]
        return collate([self.read(scene_id) for scene_id in ids], ids)


class TrainingSceneLoader(ShuffledLoader[PointBatch]):
    """Yields shuffled, augmented scenes; whole batches only.

    How a scene is augmented follows from (seed, epoch, id), so it depends neither on the batch nor on the process.
    """

    samples = "scenes"

    def __init__(
        self,
        read: Callable[[str], Scene],
        ids: Sequence[str],
        order: ShuffledSampler,
        batch_size: int,
        augmentation: Augmentation,
    ) -> None:
        super().__init__(order, batch_size)
        self.read, self.ids, self.augmentation = read, ids, augmentation

    def _batch(self, number: int, indices: list[int]) -> PointBatch:  # noqa: ARG002
        ids = [self.ids[index] for index in indices]
        return collate([self._augmented(scene_id) for scene_id in ids], ids)

    def _augmented(self, scene_id: str) -> Scene:
        generator = seeded_generator("augmentation", self.order.seed, self.order.epoch, scene_id)
        return self.augmentation(self.read(scene_id), generator)
