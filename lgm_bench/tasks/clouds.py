"""Adapters of the two tasks of point clouds: clouds as inputs, their points as values."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.metrics.architecture_change import ChangeCounts
from lgm_bench.metrics.confusion import confusion_matrix, mean_iou_of
from lgm_bench.metrics.voxel_change import voxel_change
from lgm_bench.sparse.cost import Cost, counted_cost
from lgm_bench.tasks.adapter import Adapter, Attempt, Group, Judged, Verdict, Work, usable
from lgm_bench.tasks.samples import ExampleCloud, SavedCloud, example_cloud
from lgm_bench.tasks.scenes import SceneSegmentation
from lgm_bench.tasks.shapes import ShapeClassification
from lgm_bench.tasks.tensors import check_classes, class_verdict, classified, counts_as_attacked
from lgm_bench.voxels import IGNORED, PointCloud
from lgm_bench.voxels.neighbours import Reach


class Clouds(Adapter):
    """Clouds (`PointCloud`) of B scenes or shapes; attacks move the points (N, 3)."""

    can_target = False
    scores_outputs = False
    folds = False
    kept = SavedCloud

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        if not isinstance(inputs, PointCloud):
            raise ConfigError(f"the inputs must be a PointCloud, got {type(inputs).__name__}")
        _check_cloud(inputs)
        if len(ids) != inputs.n_scenes:
            raise ConfigError(f"{inputs.n_scenes} scenes have {len(ids)} ids; every scene needs one")
        _check_finite(inputs, ids)
        _check_precision(victim, inputs)

    def values(self, inputs: PointCloud) -> Tensor:
        return inputs.points

    def replaced(self, inputs: PointCloud, values: Tensor) -> PointCloud:
        return inputs.moved(values)

    def owner(self, inputs: PointCloud) -> Tensor:
        return inputs.scene

    def detached(self, inputs: PointCloud) -> PointCloud:
        return PointCloud(*map(usable, inputs))

    def reach(self, clean: Tensor, step: float, eps: float) -> Reach:
        return Reach(clean, step, eps)

    @contextmanager
    def measured(self, victim: Any) -> Iterator[Work]:
        def note(_module: nn.Module, _arguments: Any, voxels: Any) -> None:
            work.scenes.append(voxels.coordinates[:, 0])

        with counted_cost() as cost:
            work = PointWork(cost)
            handle = victim.voxelization.register_forward_hook(note)
            try:
                yield work
            finally:
                handle.remove()

    def counts(
        self,
        victim: Any,
        clean: PointCloud,
        inputs: PointCloud,
        before: Sequence[dict[str, Tensor]],
        after: Sequence[dict[str, Tensor]],
    ) -> ChangeCounts:
        """Return the voxels as the decisions of one unit: on before, gone, new, all that there ever were."""
        change = voxel_change(victim.voxelization.occupied(clean), victim.voxelization.occupied(inputs), clean.n_scenes)
        counts = (change.before, change.disappeared, change.appeared, change.union)
        return ChangeCounts(*(count[:, None] for count in counts))

    def saved(
        self, sample_id: str, clean: PointCloud, labels: Tensor, predictions: Tensor, attempts: Sequence[Attempt]
    ) -> SavedCloud:
        (attempt,) = attempts
        points = attempt.inputs.points
        return SavedCloud(sample_id, points, clean.points, clean.features, labels, attempt.predictions, predictions)

    def example(self, sample: SavedCloud, victim: Any) -> ExampleCloud:
        return example_cloud(sample, victim.voxelization.grid)

    def check_labelled(self, labels: Tensor, scene: Tensor, ids: Sequence[str]) -> None:
        """Check that each scene has a label that counts; `scene` (len(labels),) says whose a label is.

        Raises:
            ConfigError: One has none.
        """
        counted = labels != IGNORED
        for number in self.ignored_classes:
            counted &= labels != number
        n_counted = torch.bincount(scene[counted], minlength=len(ids))
        if bool((n_counted == 0).any()):
            name = ids[int((n_counted == 0).nonzero()[0])]
            raise ConfigError(f"every label of {name!r} is ignored: there is nothing to attack; leave it out")


class Shapes(Clouds):
    """Clouds of B shapes, logits (B, C), labels (B,); all shapes go through the network together: they are small."""

    task = ShapeClassification
    can_target = True

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        super().check(victim, inputs, labels, ids)
        check_classes("labels", labels, len(ids), self.task.sample)
        self.check_labelled(labels, torch.arange(len(ids), device=labels.device), ids)

    def groups(self, inputs: PointCloud, labels: Tensor) -> list[Group]:
        return [Group(inputs, labels, slice(None), slice(None))]

    def select(self, inputs: PointCloud, labels: Tensor, samples: Tensor) -> tuple[PointCloud, Tensor]:
        return rows_of(inputs, samples)[0], labels[samples]

    def scored(self, victim: Any, inputs: PointCloud, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits, labels = victim.scored(inputs, labels)
        return logits, labels

    def logit_owner(self, inputs: PointCloud) -> Tensor:
        return torch.arange(inputs.n_scenes, device=inputs.scene.device)

    def attacked(self, clean: Judged, labels: Tensor, target: int | None) -> Tensor:
        return counts_as_attacked(clean.logits, labels, target)

    def columns(
        self, inputs: PointCloud, labels: Tensor, clean: Tensor, logits: Tensor, attacked: Tensor, target: int | None
    ) -> dict[str, Tensor | list[int]]:
        return classified(labels, clean, logits, attacked, target)

    def losses(self, inputs: PointCloud, labels: Tensor, logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="none")

    def verdict(self, logits: Tensor, labels: Tensor, target: Tensor | None, ids: Sequence[str]) -> Verdict:
        self.check_logits(logits, labels, target)
        check_verdict(logits, ids[0])
        return class_verdict(logits, labels, target)


class Scenes(Clouds):
    """Clouds of B scenes, logits (N, C) and labels (N,) of points; scenes go through the network one by one."""

    task = SceneSegmentation

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        super().check(victim, inputs, labels, ids)
        check_classes("labels", labels, len(inputs.points), "point")
        self.check_labelled(labels, inputs.scene.to(labels.device), ids)

    def groups(self, inputs: PointCloud, labels: Tensor) -> list[Group]:
        groups, end = [], 0
        for number, size in enumerate(torch.bincount(inputs.scene).tolist()):
            rows = slice(end, end + size)
            points, features, scene = (value[rows] for value in inputs)
            scene_alone = PointCloud(points, features, scene - scene[0])
            groups.append(Group(scene_alone, labels[rows], rows, slice(number, number + 1)))
            end += size
        return groups

    def select(self, inputs: PointCloud, labels: Tensor, samples: Tensor) -> tuple[PointCloud, Tensor]:
        cloud, rows = rows_of(inputs, samples)
        return cloud, labels[rows]

    def scored(self, victim: Any, inputs: PointCloud, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and labels of the points, or voxels, that have a label."""
        logits, labels = victim.scored(inputs, labels)
        counted = labels != IGNORED
        return logits[counted], labels[counted]

    def verdict(self, logits: Tensor, labels: Tensor, target: Tensor | None, ids: Sequence[str]) -> Verdict:
        """Return the mIoU of one scene, over the classes that occur among its labels or predictions."""
        if len(logits) != len(labels):
            raise ConfigError(f"the victim gave {len(logits)} rows of logits for {len(labels)} labels")
        self.check_logits(logits[labels != IGNORED], labels[labels != IGNORED], None)
        check_verdict(logits, ids[0])
        score = mean_iou_of(confusion_matrix(labels, logits.argmax(dim=1), logits.shape[1]), self.ignored_classes)
        return Verdict(score[None], torch.zeros(1, dtype=torch.bool, device=logits.device))

    def logit_owner(self, inputs: PointCloud) -> Tensor:
        return inputs.scene

    def columns(
        self, inputs: PointCloud, labels: Tensor, clean: Tensor, logits: Tensor, attacked: Tensor, target: int | None
    ) -> dict[str, Tensor | list[int]]:
        sizes = torch.bincount(inputs.scene)
        before, after = (_confusions(labels, values, sizes.tolist()) for values in (clean, logits))
        return {
            "n_points": sizes,
            "clean_confusion": before,
            "confusion": after,
            "ignored_classes": list(self.ignored_classes),
            "clean_miou": mean_iou_of(before, self.ignored_classes),
            "miou": mean_iou_of(after, self.ignored_classes),
        }

    def losses(self, inputs: PointCloud, labels: Tensor, logits: Tensor) -> Tensor:
        """Return each scene's mean over its labelled points."""
        losses = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
        counted = torch.bincount(inputs.scene[labels != IGNORED], minlength=inputs.n_scenes)
        return losses.new_zeros(inputs.n_scenes).index_add(0, inputs.scene, losses) / counted

    def withstood(self, verdict: Verdict) -> Tensor:
        return verdict.score


class PointWork(Work):
    """Voxels and operations of forward passes (Tao et al. 2024, Table VI).

    Args:
        cost: The operations, counted as the passes run.
    """

    def __init__(self, cost: Cost) -> None:
        self.cost = cost
        self.scenes: list[Tensor] = []

    def of_samples(self, n_samples: int) -> dict[str, Tensor]:
        """Return "voxels" (B,) int64 that took part, and "gflops" (B,) float64, operations in 1e9."""
        voxels = torch.bincount(torch.cat(self.scenes), minlength=n_samples).cpu()
        return {"voxels": voxels, "gflops": self.cost.of_scenes(n_samples) / 1e9}


def rows_of(cloud: PointCloud, samples: Tensor) -> tuple[PointCloud, Tensor]:
    """Return some scenes (K,) int64, in ascending order, of a cloud, and which of its points (N,) bool are theirs."""
    place = torch.full((cloud.n_scenes,), -1, device=cloud.scene.device)
    place[samples] = torch.arange(len(samples), device=place.device)
    rows = place[cloud.scene] >= 0
    return PointCloud(cloud.points[rows], cloud.features[rows], place[cloud.scene[rows]]), rows


def check_verdict(logits: Tensor, name: str) -> None:
    """Check that a verdict can be taken from logits of the scene or shapes of that name.

    Raises:
        ConfigError: One is not finite.
    """
    if not bool(logits.isfinite().all()):
        raise ConfigError(f"the victim's logits of {name!r} are not finite; check its weights")


def _check_cloud(cloud: PointCloud) -> None:
    points, features, scene = cloud
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0 or not points.is_floating_point():
        raise ConfigError(f"points must be floating point of shape (N, 3), got {points.dtype} {tuple(points.shape)}")
    if features.ndim != 2 or len(features) != len(points) or not features.is_floating_point():
        raise ConfigError(
            f"features must be floating point of shape ({len(points)}, F), got {features.dtype} {tuple(features.shape)}"
        )
    if scene.shape != (len(points),) or scene.dtype != torch.int64:
        raise ConfigError(f"scene must be int64 of shape ({len(points)},), got {scene.dtype} {tuple(scene.shape)}")
    if int(scene[0]) != 0 or not bool(((scene.diff() == 0) | (scene.diff() == 1)).all()):
        raise ConfigError("scene must count the scenes from 0 in ascending order and leave none out")


def _check_finite(cloud: PointCloud, ids: Sequence[str]) -> None:
    for name, values in (("points", cloud.points), ("features", cloud.features)):
        finite = values.isfinite().all(dim=1)
        if not bool(finite.all()):
            row = int((~finite).nonzero()[0])
            raise ConfigError(
                f"{name} must be finite, got {values[row].tolist()} in row {row} (scene {ids[int(cloud.scene[row])]!r})"
            )


def _check_precision(victim: nn.Module, cloud: PointCloud) -> None:
    weights = next((weight.dtype for weight in victim.parameters() if weight.is_floating_point()), cloud.points.dtype)
    wrong = next((values.dtype for values in cloud[:2] if values.dtype != weights), None)
    if wrong is not None:
        raise ConfigError(
            f"the cloud holds {wrong} and the victim's weights are {weights}; convert points and features, or the "
            "victim (such as victim.double())"
        )


def _confusions(labels: Tensor, logits: Tensor, sizes: list[int]) -> Tensor:
    """Return the confusion matrices (B, C, C) of scenes of so many points each."""
    pairs = zip(torch.split(labels, sizes), torch.split(logits.argmax(1), sizes), strict=True)
    return torch.stack([confusion_matrix(*pair, logits.shape[1]) for pair in pairs])
