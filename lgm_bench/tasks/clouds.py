"""Adapters of the two point cloud tasks: inputs are clouds, values their points."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.metrics.architecture_change import ChangeCounts, voxel_counts
from lgm_bench.metrics.confusion import confusion_matrix, mean_iou_of
from lgm_bench.metrics.iou import iou_counts, mean_iou
from lgm_bench.sparse.cost import counted_cost
from lgm_bench.tasks.adapter import Adapter, Attempt, Group, Verdict, Work
from lgm_bench.tasks.checks import check_classes, check_cloud, check_logits_finite, check_precision, usable
from lgm_bench.tasks.point_clouds import SceneSegmentation, ShapeClassification
from lgm_bench.tasks.samples import ExampleCloud, SavedCloud, example_cloud
from lgm_bench.tasks.tensors import Classified
from lgm_bench.voxels import IGNORED, PointCloud
from lgm_bench.voxels.neighbours import Reach
from lgm_bench.voxels.voxelization import Voxels


class Clouds(Adapter):
    """Clouds (`PointCloud`) of B scenes or shapes; attacks move the points (N, 3)."""

    can_target = False
    scores_outputs = False
    folds = False
    kept = SavedCloud

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        if not isinstance(inputs, PointCloud):
            raise ConfigError(f"the inputs must be a PointCloud, got {type(inputs).__name__}")
        check_cloud(inputs, ids)
        check_precision(victim, inputs.points, inputs.features)

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
    def occupied(self, victim: Any) -> Iterator[list[tuple[Tensor, Tensor]]]:
        found = []

        def record(_module: nn.Module, _arguments: Any, voxels: Voxels) -> None:
            occupancy = voxels.occupancy
            if occupancy is None:
                occupancy = voxels.occupied.to(voxels.cloud.points.dtype)
            found.append((occupancy, voxels.coordinates[:, 0]))

        handle = victim.voxelization.register_forward_hook(record)
        try:
            yield found
        finally:
            handle.remove()

    @contextmanager
    def measured(self, victim: Any) -> Iterator[Work]:
        """Yield a function that returns the "voxels" (B,) int64 and "gflops" (B,) float64, see `sparse.cost`."""
        scenes = []

        def record(_module: nn.Module, _arguments: Any, voxels: Any) -> None:
            scenes.append(voxels.coordinates[:, 0])

        def work(n_samples: int) -> dict[str, Tensor]:
            voxels = torch.bincount(torch.cat(scenes), minlength=n_samples).cpu()
            return {"voxels": voxels, "gflops": cost.of_scenes(n_samples) / 1e9}

        with counted_cost() as cost:
            handle = victim.voxelization.register_forward_hook(record)
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
        """Return the changes of the voxels, see `voxel_counts`."""
        occupied = victim.voxelization.occupied
        return voxel_counts(occupied(clean), occupied(inputs), clean.n_scenes)

    def saved(
        self, sample_id: str, clean: PointCloud, labels: Tensor, predictions: Tensor, attempts: Sequence[Attempt]
    ) -> SavedCloud:
        (attempt,) = attempts
        points = attempt.inputs.points
        return SavedCloud(sample_id, points, clean.points, clean.features, labels, attempt.predictions, predictions)

    def example(self, sample: SavedCloud, victim: Any) -> ExampleCloud:
        return example_cloud(sample, victim.voxelization.grid)

    def check_labelled(self, labels: Tensor, scene: Tensor, ids: Sequence[str]) -> None:
        """Raise ConfigError if a scene has no label that counts; `scene` (len(labels),) is the scene of each label."""
        counted = labels != IGNORED
        for ignored in self.ignored_classes:
            counted &= labels != ignored
        n_counted = torch.bincount(scene[counted], minlength=len(ids))
        if bool((n_counted == 0).any()):
            name = ids[int((n_counted == 0).nonzero()[0])]
            raise ConfigError(f"every label of {name!r} is ignored: there is nothing to attack; leave it out")


class Shapes(Classified, Clouds):
    """Clouds of B shapes, logits (B, C), labels (B,). Shapes are small, so all go through the network together."""

    task = ShapeClassification
    can_target = True

    def check(self, victim: Any, inputs: Any, labels: Tensor, ids: Sequence[str]) -> None:
        super().check(victim, inputs, labels, ids)
        check_classes("labels", labels, len(ids), self.task.sample)
        self.check_labelled(labels, torch.arange(len(ids), device=labels.device), ids)

    def select(self, inputs: PointCloud, labels: Tensor, samples: Tensor) -> tuple[PointCloud, Tensor]:
        return rows_of(inputs, samples)[0], labels[samples]

    def scored(self, victim: Any, inputs: PointCloud, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits, labels = victim.scored(inputs, labels)
        self.check_logits(logits, labels, None)
        return logits, labels

    def logit_owner(self, inputs: PointCloud) -> Tensor:
        return torch.arange(inputs.n_scenes, device=inputs.scene.device)


class Scenes(Clouds):
    """Clouds of B scenes, logits (N, C) and labels (N,) of points. Scenes go through the network one by one."""

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
        """Return the logits and labels of the labelled points, or of the labelled voxels."""
        logits, labels = labelled(*victim.scored(inputs, labels))
        self.check_logits(logits, labels, None)
        return logits, labels

    def verdict(self, logits: Tensor, labels: Tensor, target: Tensor | None, ids: Sequence[str]) -> Verdict:
        """Return the mIoU of one scene over the classes among its labels or predictions."""
        if len(logits) != len(labels):
            raise ConfigError(f"the victim gave {len(logits)} rows of logits for {len(labels)} labels")
        self.check_logits(*labelled(logits, labels), None)
        check_logits_finite(logits[None], ids)
        confusion = confusion_matrix(labels, logits.argmax(dim=1), logits.shape[1])
        hits, unions = iou_counts(confusion[None].cpu().numpy(), self.ignored_classes)
        score, counts = map(torch.from_numpy, (mean_iou(hits, unions), np.concatenate([hits, unions], axis=1)))
        fallen = torch.zeros(1, dtype=torch.bool)
        return Verdict(*(value.to(logits.device) for value in (score, fallen, counts)))

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
        """Return the mean of each scene over its labelled points."""
        losses = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
        counted = torch.bincount(inputs.scene[labels != IGNORED], minlength=inputs.n_scenes)
        return losses.new_zeros(inputs.n_scenes).index_add(0, inputs.scene, losses) / counted

    def followed(self, verdict: Verdict) -> dict[str, Tensor]:
        return {"history": verdict.score, "history_counts": verdict.counts}


def labelled(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits (K, C) and labels (K,) of the labelled points; without a copy if all of them are."""
    counted = labels != IGNORED
    return (logits, labels) if bool(counted.all()) else (logits[counted], labels[counted])


def rows_of(cloud: PointCloud, samples: Tensor) -> tuple[PointCloud, Tensor]:
    """Return the cloud of some scenes (K,) int64, ascending, and which points (N,) bool belong to them."""
    place = torch.full((cloud.n_scenes,), -1, device=cloud.scene.device)
    place[samples] = torch.arange(len(samples), device=place.device)
    rows = place[cloud.scene] >= 0
    return PointCloud(cloud.points[rows], cloud.features[rows], place[cloud.scene[rows]]), rows


def _confusions(labels: Tensor, logits: Tensor, sizes: list[int]) -> Tensor:
    """Return the confusion matrices (B, C, C) of scenes with `sizes` points each."""
    pairs = zip(torch.split(labels, sizes), torch.split(logits.argmax(1), sizes), strict=True)
    return torch.stack([confusion_matrix(*pair, logits.shape[1]) for pair in pairs])
