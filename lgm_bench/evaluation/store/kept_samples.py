"""What a cell's folder keeps of samples beside their rows: examples before and after, and all that was attacked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lgm_bench.evaluation.store.arrays import holds_sample, sample_path
from lgm_bench.evaluation.store.clouds import SavedCloud, save_cloud
from lgm_bench.evaluation.store.examples import EXAMPLES, Example, save_example
from lgm_bench.evaluation.store.images import SavedImage, save_image
from lgm_bench.evaluation.store.writing import set_aside, writing

CLOUDS, IMAGES = "clouds", "images"


class KeptSamples:
    """Files of single samples: the first ones of a cell in `examples/`; in `clouds/` or `images/` all, where asked for.

    Args:
        folder: The cell's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep_example(self, sample: Example) -> None:
        """Keep an example; call it before the rows of its batch are added.

        Raises:
            CannotWriteError: It cannot be written.
        """
        with self._subfolder(EXAMPLES) as folder:
            save_example(folder, sample)

    def keep_adversarial(self, sample: SavedImage | SavedCloud, class_names: Sequence[str] = ()) -> None:
        """Keep an attacked image or point cloud; call it before the rows of its batch are added.

        Raises:
            CannotWriteError: It cannot be written.
        """
        if isinstance(sample, SavedCloud):
            with self._subfolder(CLOUDS) as folder:
                save_cloud(folder, sample, class_names)
        else:
            with self._subfolder(IMAGES) as folder:
                save_image(folder, sample)

    def without_adversarial(self, ids: Sequence[str], *, images: bool) -> set[str]:
        """Return the samples of which nothing attacked is kept; files that are no such thing are set aside.

        Args:
            ids: The samples.
            images: Whether they are images; else point clouds.
        """
        folder, kind, called = (IMAGES, SavedImage, "image") if images else (CLOUDS, SavedCloud, "cloud")
        missing = set()
        for sample_id in ids:
            path = sample_path(self.folder / folder, sample_id)
            if path.exists() and not holds_sample(path, kind, sample_id):
                set_aside(path, f"it is damaged or no {called} of this sample")
            if not path.exists():
                missing.add(sample_id)
        return missing

    @contextmanager
    def _subfolder(self, name: str) -> Iterator[Path]:
        folder = self.folder / name
        with writing(folder):
            folder.mkdir(exist_ok=True)
            yield folder
