"""ModelNet40 (Wu et al. 2015): shapes of man-made objects in 40 classes."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datamodules.location import how_to_choose
from datamodules.modelnet40_forms import CLASSES, FORMS, Form, Shape
from datamodules.point_datamodule import PointDataModule
from datamodules.samples_datamodule import require_positive
from datamodules.scene import AGAIN, Augmentation, Scene, require_finite
from lgm_bench.errors import ConfigError, DataError

_OBTAIN = (
    "Get modelnet40_normal_resampled.zip or modelnet40_ply_hdf5_2048.zip (https://shapenet.cs.stanford.edu/media), or "
    "the meshes, ModelNet40.zip (https://modelnet.cs.princeton.edu), and unpack it there."
)


class ModelNet40DataModule(PointDataModule):
    """Shapes of 2,048 points, centred at their mean and scaled to the unit sphere, in 40 classes.

    There are three published forms: text, HDF5 and meshes (`modelnet40_forms`). The first of these that is on disk is
    read. The subset starts with the first shape of every class, then the second of every class, and so on, so that a
    `limit` covers the classes evenly. Sample ids depend on the form: "airplane_0627" or "ply_data_test0/00012".

    `data_root` is the folder with `modelnet40_normal_resampled`, `modelnet40_ply_hdf5_2048` or `ModelNet40`, or one of
    these three itself. Subsets are "test", "train" and "holdout". For the other arguments see `PointDataModule`.

    Args:
        holdout: Share of the training shapes of each class to hold out, in [0, 1).
        points: Points per shape: the first points of a point list, or random points on a mesh.

    Raises:
        ConfigError: points is below 1, holdout is not in [0, 1), or another option is invalid.
    """

    name = "modelnet40"
    default_batch_size = 32
    task = "classification"
    num_classes = 40
    class_names = CLASSES
    subsets = ("test", "train", "holdout")
    augmentation = Augmentation(rotation=math.pi, flips=(0, 2), scaling=0.05, jitter=0.01, up=1)

    def __init__(
        self,
        data_root: Path | str | None = None,
        batch_size: int = 32,
        limit: int | None = None,
        subset: str = "test",
        seed: int = 0,
        holdout: float = 0.1,
        points: int = 2048,
    ) -> None:
        super().__init__(data_root, batch_size, limit, subset, seed)
        require_positive("points", points)
        if not 0 <= holdout < 1 or (subset == "holdout" and holdout == 0):
            raise ConfigError(f"holdout must be the share of training shapes to hold out, not {holdout!r}")
        self.holdout, self.points = holdout, points
        self._form: Form | None = None
        self._shapes: dict[str, Shape] = {}

    @property
    def form(self) -> Form:
        """The published form that is on disk.

        Raises:
            DataError: There is none.
        """
        if self._form is None:
            places = [(form, place) for form in FORMS for place in (self.data_root / form.folder, self.data_root)]
            present = [(form, place) for form, place in places if place.name == form.folder and place.is_dir()]
            if not present:
                folders = ", ".join(form.folder for form in FORMS)
                raise DataError(
                    f"no ModelNet40 in {self.data_root}; expected one of the folders {folders}. "
                    f"{_OBTAIN} {how_to_choose(self.name)}"
                )
            form, place = present[0]
            self._form = form(place)
        return self._form

    def list_ids(self, subset: str) -> list[str]:
        """Return the ids of a subset's shapes: the first of every class, the second of every class, and so on.

        Raises:
            DataError: There are no shapes, two have the same id, or a file is damaged or not in the expected layout.
        """
        split = "test" if subset == "test" else "train"
        by_class: dict[int, list[Shape]] = defaultdict(list)
        for shape in self.form.shapes(split):
            if self._shapes.get(shape.shape_id, shape) != shape:
                raise DataError(f"{shape.file} and {self._shapes[shape.shape_id].file} have the same id. Remove one.")
            self._shapes[shape.shape_id] = shape
            by_class[shape.label].append(shape)
        if not by_class:
            raise DataError(f"{self.form.root} holds no {split} shapes. {_OBTAIN} {how_to_choose(self.name)}")
        if subset == "holdout":
            by_class = {label: held_out(shapes, self.holdout) for label, shapes in by_class.items()}
        turns = [(turn, label, shape) for label, shapes in by_class.items() for turn, shape in enumerate(shapes)]
        return [shape.shape_id for _, _, shape in sorted(turns)]

    def file(self, scene_id: str) -> Path:
        return self._shape(scene_id).file

    @property
    def prepares(self) -> bool:  # type: ignore[override]
        return self.form.prepares

    def sources(self, scene_id: str) -> Sequence[Path]:
        return (self.file(scene_id),)

    def reading_options(self) -> str:
        return f"points={self.points}"

    def read(self, scene_id: str) -> Scene:
        """Read a shape and scale it to the unit sphere.

        Raises:
            DataError: Its file is damaged, holds too few points, or all its points coincide.
        """
        shape = self._shape(scene_id)
        points = self.form.points(shape, self.points)
        require_finite(points, shape.file, "coordinates")
        centred = points - points.mean(axis=0)
        radius = np.linalg.norm(centred, axis=1).max()
        if radius == 0:
            if len(points) > 1:
                raise DataError(f"{shape.file}: all points coincide. {AGAIN}")
            radius = 1.0
        features = np.empty((len(points), 0), np.float32)
        return Scene((centred / radius).astype(np.float32), features, np.array([shape.label]))

    def _shape(self, shape_id: str) -> Shape:
        if shape_id not in self._shapes:
            for subset in ("test", "train"):
                self.ids_of(subset)
        if shape_id not in self._shapes:
            raise DataError(f"{self.form.root} holds no shape {shape_id!r}")
        return self._shapes[shape_id]


def held_out(shapes: list[Shape], share: float) -> list[Shape]:
    """Return the shapes to hold out, a rounded share: an arbitrary choice that is the same on every machine."""
    ranked = sorted(shapes, key=lambda shape: hashlib.sha256(shape.shape_id.encode()).digest())
    chosen = set(ranked[: round(len(shapes) * share)])
    return [shape for shape in shapes if shape in chosen]
