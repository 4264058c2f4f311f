"""The base of the point datamodules: scenes or shapes of one or a few files each, read when they are needed."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from datamodules.batch import PointBatch
from datamodules.content import files_sha256
from datamodules.loaders import BatchLoader, ShuffledLoader
from datamodules.location import reading
from datamodules.prepared import Prepared
from datamodules.sampler import RankStridedSampler, ShuffledSampler, rank_and_world, seeded_generator
from datamodules.samples_datamodule import SamplesDataModule
from datamodules.scene import Augmentation, Scene, check_scene, collate
from lgm_bench.errors import ConfigError


class PointDataModule(SamplesDataModule):
    """Base of datamodules whose loaders yield `PointBatch`es.

    A subclass lists the scenes of a subset (`list_ids`) and reads one scene (`read`). By default, training uses the
    scenes of the subset "train" that are not in "holdout", and validation those of "holdout".

    Args:
        data_root: The data set's folder. None: `$LGM_BENCH_DATA/<name>`, else `./data/<name>`.
        batch_size: Scenes per batch and process.
        limit: Number of scenes to use, the first ones of the subset; None: all.
        subset: What `test_dataloader` yields, one of `subsets`.
        seed: Determines, with the epoch, order and augmentation in training.

    Attributes:
        augmentation: The random changes of training scenes.
        spacing: Edge of the cubes in metres of each of which only the first point is kept; None keeps all points.
        prepares: Whether `lgm-bench data prepare` is worthwhile: reading the official files is slow.
        prepared: The fast copies of scenes that `lgm-bench data prepare` writes.

    Raises:
        ConfigError: batch_size or limit is below 1, seed below 0, or the subset is unknown.
    """

    augmentation = Augmentation()
    spacing: float | None = None
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
        """Return the ids of the subset's scenes on disk, in order.

        Raises:
            DataError: There are none.
        """

    @abstractmethod
    def read(self, scene_id: str) -> Scene:
        """Read a scene from its official files.

        Raises:
            DataError: A file is missing, damaged or not in the expected layout; the message names it.
        """

    @abstractmethod
    def file(self, scene_id: str) -> Path:
        """Return the file or folder that error messages about a scene name."""

    def sources(self, scene_id: str) -> Sequence[Path]:  # noqa: ARG002
        """Return all files below `data_root` that a scene is read from; empty if they are not known.

        Stored results and prepared scenes are reused as long as the content of these files stays the same.
        """
        return ()

    def reading_options(self) -> str:
        """Return the options that change a scene; scenes prepared under other options are not used."""
        return "" if self.spacing is None else f"spacing={self.spacing}"

    @property
    def prepared(self) -> Prepared:
        return Prepared(self.data_root, self.reading_options())

    def scene(self, scene_id: str) -> Scene:
        """Return a scene after checking it, from its prepared copy if that exists and is up to date.

        Raises:
            DataError: The scene cannot be read or used (`check_scene`).
        """
        prepared = self.prepared.load(scene_id, self.sources(scene_id)) if self.prepares else None
        return prepared or self.official_scene(scene_id)

    def official_scene(self, scene_id: str) -> Scene:
        """Return a scene from its official files, after checking it.

        Raises:
            DataError: The scene cannot be read or used (`check_scene`).
        """
        with reading(self.name):
            scene = check_scene(self.read(scene_id), self.file(scene_id), self.task, self.num_classes)
            return scene if self.spacing is None else scene.thinned(self.spacing)

    def setup(self, stage: str | None = None) -> None:
        """List the scenes without reading any.

        Raises:
            DataError: There are none.
        """
        if stage in ("fit", "validate"):
            self.training_ids(), self.validation_ids()
        else:
            self.subset_ids()

    def subset_ids(self) -> list[str]:
        return self.ids_of(self.subset)

    def ids_of(self, subset: str) -> list[str]:
        """Return the ids of all scenes of any subset, in order; they are listed only once."""
        if subset not in self._ids:
            with reading(self.name):
                self._ids[subset] = self.list_ids(subset)
        return self._ids[subset]

    def content_sha256(self) -> str:
        """Return the sha256 of the scenes' files, or of their points and labels if the files are not known.

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

    def train_dataloader(self) -> ShuffledLoader[PointBatch]:
        """Return shuffled, augmented batches of the training scenes.

        A scene's augmentation depends only on the seed, the epoch and the scene's id.
        """
        ids = self.training_ids()
        order = ShuffledSampler(len(ids), self.seed, *rank_and_world())

        def augmented(scene_id: str) -> Scene:
            generator = seeded_generator("augmentation", order.seed, order.epoch, scene_id)
            return self.augmentation(self.scene(scene_id), generator)

        return ShuffledLoader(_batches(augmented, ids), order, self.batch_size, "scenes")

    def val_dataloader(self) -> BatchLoader[PointBatch]:
        """Return this process's share of the validation scenes, in order and unchanged."""
        ids = self.validation_ids()
        sampler = RankStridedSampler(len(ids), *rank_and_world())
        return BatchLoader(_batches(self.scene, ids), sampler, self.batch_size)

    def test_dataloader(self) -> BatchLoader[PointBatch]:
        """Return this process's share of the subset's scenes that are not done, in order.

        Raises:
            DataError: During iteration, a scene cannot be read or used; the message names its file.
        """
        return BatchLoader(_batches(self.scene, self.sample_ids()), self.test_sampler(), self.batch_size)


def _batches(read: Callable[[str], Scene], ids: Sequence[str]) -> Callable[[int, list[int]], PointBatch]:
    def make(_: int, indices: list[int]) -> PointBatch:
        chosen = [ids[index] for index in indices]
        return collate([read(scene_id) for scene_id in chosen], chosen)

    return make
