"""The attack stage of point clouds: clean pass, attack, verdict by the hard network."""

import math
import time
from collections.abc import Callable, Iterator, Sequence, Set

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.batch import IGNORED, PointBatch, inputs_of, part
from lgm_bench.attacks.attack import Attack
from lgm_bench.attacks.budgets import ROUNDING
from lgm_bench.attacks.trace import AttackResult
from lgm_bench.evaluation.engine.preflight import preflight
from lgm_bench.evaluation.engine.stage_parts import Sink, probe_on, repeatable
from lgm_bench.evaluation.store.rows import Outcome
from lgm_bench.evaluation.store.samples import SavedCloud, example_cloud
from lgm_bench.leaded import GradientMethod, hard_forward
from lgm_bench.metrics.architecture_change import ChangeCounts
from lgm_bench.metrics.confusion import confusion_matrix, mean_iou_of
from lgm_bench.metrics.voxel_change import voxel_change
from lgm_bench.tasks.adapter import adapter_named
from lgm_bench.tasks.base import task_named
from lgm_bench.voxels import PointCloud
from victims.point_victim import PointVictim


class PointStage(pl.LightningModule):
    """Attacks a victim on a datamodule's test batches: `Trainer(inference_mode=False).test(stage, datamodule)`.

    Every scene and shape is attacked. Of shapes, those that the hard network classifies correctly count as attacked;
    the others stay wrong whatever becomes of them.

    Args:
        victim: It is put into eval mode and its parameters are frozen.
        attack: What moves the points.
        gradient: The gradient that the attack follows; the verdict is the hard network's whatever it is.
        ignored_classes: Classes that take no part in the mIoU.
        sink: Takes the rows of each batch.
        probe: Point clouds to make the pre-flight checks on; None leaves the checks out.
        examples: Ids of the samples that the sink gets as examples.
        save_adversarial: Whether it gets every attacked cloud.
        n_samples: How many there are in all, see `preflight`.
    """

    def __init__(
        self,
        victim: PointVictim,
        attack: Attack,
        gradient: GradientMethod,
        ignored_classes: Sequence[int] = (),
        *,
        sink: Sink | None = None,
        probe: PointBatch | None = None,
        examples: Set[str] = frozenset(),
        save_adversarial: bool = False,
        n_samples: int = 0,
    ) -> None:
        super().__init__()
        self.n_samples = n_samples
        self.victim = victim.eval().requires_grad_(False)
        self.attack, self.gradient, self.sink, self.probe = attack, gradient, sink, probe
        self.examples, self.save_adversarial = examples, save_adversarial
        self.ignored_classes = tuple(ignored_classes)
        self.task = task_named(victim.task)

    def on_test_start(self) -> None:
        """Make the pre-flight checks."""
        if self.probe is None or self.sink is None:
            return
        with repeatable():
            probe = probe_on(self, self.probe)
            self.sink.checked(preflight(self.victim, probe, self.gradient, self.attack, self.n_samples))

    def test_step(self, batch: PointBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Attack one batch and hand its rows to the sink."""
        start = time.perf_counter()
        with repeatable():
            rows = self.outcome(batch).table(self.task)
        if self.sink is not None:
            self.sink.finished(rows, time.perf_counter() - start)

    def outcome(self, batch: PointBatch) -> Outcome:
        """Return what the attack does to a batch."""
        with torch.enable_grad():
            result = self.attack.attack(
                self.victim,
                batch.cloud,
                batch.labels,
                gradient=self.gradient,
                ids=batch.ids,
                progress=self._progress(batch),
                adapter=adapter_named(self.victim.task, self.ignored_classes),
            )
        attacked = batch._replace(cloud=batch.cloud.moved(result.adversarial))
        before, after = self._judged(batch), self._judged(attacked)
        if self.sink is not None and (self.save_adversarial or not self.examples.isdisjoint(batch.ids)):
            for cloud in _to_save(batch, attacked, before, after):
                self._keep(self.sink, cloud)
        of_scenes = self.victim.task == "segmentation"
        return (self._scenes if of_scenes else self._shapes)(batch, result, before, after)

    def _judged(self, batch: PointBatch) -> Tensor:
        """Return the hard network's logits; scenes one by one as in the attack, so that batches change nothing."""
        if self.victim.task == "classification":
            return hard_forward(self.victim, batch.cloud)[0]
        scenes = [part(batch, [number]) for number in range(len(batch.ids))]
        return torch.cat([hard_forward(self.victim, inputs_of(scene))[0] for scene in scenes])

    def _scenes(self, batch: PointBatch, result: AttackResult, before: Tensor, after: Tensor) -> Outcome:
        matrices = [self._confusions(batch, logits) for logits in (before, after)]
        sizes = torch.bincount(batch.cloud.scene)
        distance, inside = self._moves(batch.cloud, result.adversarial)
        clean_miou = mean_iou_of(matrices[0], self.ignored_classes)
        return Outcome(
            ids=batch.ids,
            target=None,
            perturbed=torch.ones_like(sizes, dtype=torch.bool),
            attacked=torch.ones_like(sizes, dtype=torch.bool),
            verdict={
                "n_points": sizes,
                "clean_confusion": matrices[0],
                "confusion": matrices[1],
                "ignored_classes": list(self.ignored_classes),
                "clean_miou": clean_miou,
                "miou": mean_iou_of(matrices[1], self.ignored_classes),
            },
            distance=distance,
            within_bounds=inside,
            clean_loss=self._scene_loss(batch, before),
            adversarial_loss=self._scene_loss(batch, after),
            counts=self._voxels(batch.cloud, result.adversarial),
            effort=_effort(result),
            history=self._history(clean_miou, result.scores),
        )

    def _shapes(self, batch: PointBatch, result: AttackResult, before: Tensor, after: Tensor) -> Outcome:
        clean, prediction, labels = before.argmax(1), after.argmax(1), batch.labels
        attacked = clean == labels
        correct = attacked & (prediction == labels)
        distance, inside = self._moves(batch.cloud, result.adversarial)
        return Outcome(
            ids=batch.ids,
            target=None,
            perturbed=torch.ones_like(attacked),
            attacked=attacked,
            verdict={
                "label": labels,
                "clean_prediction": clean,
                "adversarial_prediction": prediction,
                "success": attacked & ~correct,
                "correct": correct,
            },
            distance=distance,
            within_bounds=inside,
            clean_loss=F.cross_entropy(before, labels, reduction="none"),
            adversarial_loss=F.cross_entropy(after, labels, reduction="none"),
            counts=self._voxels(batch.cloud, result.adversarial),
            effort=_effort(result),
            history=self._history(attacked, ~result.fallen),
        )

    def _history(self, clean: Tensor, iterates: Tensor) -> list[list[float]]:
        """Return the column `history` of B samples: clean (B,), then the iterates (I, B), which may begin with it."""
        first = [] if self.attack.judges_start else [clean.cpu()[None]]
        return torch.cat([*first, iterates]).T.float().tolist()

    def _keep(self, sink: Sink, cloud: SavedCloud) -> None:
        if cloud.id in self.examples:
            sink.example(example_cloud(cloud, self.victim.voxelization.grid))
        if self.save_adversarial:
            sink.attacked(cloud)

    def _progress(self, batch: PointBatch) -> Callable[[int, int], None]:
        def progress(i: int, steps: int) -> None:
            if self.sink is not None:
                self.sink.iteration(i, steps, len(batch.ids))

        return progress

    def _confusions(self, batch: PointBatch, logits: Tensor) -> Tensor:
        sizes = torch.bincount(batch.cloud.scene).tolist()
        pairs = zip(torch.split(batch.labels, sizes), torch.split(logits.argmax(1), sizes), strict=True)
        return torch.stack([confusion_matrix(*pair, logits.shape[1]) for pair in pairs])

    def _scene_loss(self, batch: PointBatch, logits: Tensor) -> Tensor:
        losses = F.cross_entropy(logits, batch.labels, ignore_index=IGNORED, reduction="none")
        n = len(batch.ids)
        counted = torch.bincount(batch.cloud.scene[batch.labels != IGNORED], minlength=n)
        return losses.new_zeros(n).index_add(0, batch.cloud.scene, losses) / counted

    def _moves(self, cloud: PointCloud, points: Tensor) -> tuple[Tensor, Tensor]:
        farthest = (points - cloud.points).abs().amax(1)
        distance = farthest.new_zeros(cloud.n_scenes).scatter_reduce(0, cloud.scene, farthest, "amax")
        return distance, distance <= self.attack.eps + ROUNDING

    def _voxels(self, cloud: PointCloud, points: Tensor) -> ChangeCounts:
        """Return the voxels as the decisions of one unit: on before, gone, new, all that there ever were."""
        before, after = (self.victim.voxelization.occupied(c) for c in (cloud, cloud.moved(points)))
        change = voxel_change(before, after, cloud.n_scenes)
        return ChangeCounts(
            on_before=change.before[:, None],
            on_to_off=change.disappeared[:, None],
            off_to_on=change.appeared[:, None],
            positions=change.union[:, None],
        )


def _to_save(clean: PointBatch, attacked: PointBatch, before: Tensor, after: Tensor) -> Iterator[SavedCloud]:
    """Yield the scenes or shapes of a batch, with the predictions that logits (N, C) or (B, C) are."""
    sizes = torch.bincount(clean.cloud.scene).tolist()
    of_points = len(after) == len(clean.cloud.points) and len(clean.labels) == len(after)
    of_labels = sizes if of_points else [1] * len(sizes)
    values = [
        *(torch.split(points, sizes) for points in (attacked.cloud.points, clean.cloud.points, clean.cloud.features)),
        *(torch.split(classes, of_labels) for classes in (clean.labels, after.argmax(1), before.argmax(1))),
    ]
    yield from (SavedCloud(*one) for one in zip(clean.ids, *values, strict=True))


def _effort(result: AttackResult) -> dict[str, list[float | None]]:
    """Return `Outcome.effort` of a result; attacks without a gradient have no cost."""
    return {"iterate": result.kept.tolist(), "voxels": _means(result, "voxels"), "gflops": _means(result, "gflops")}


def _means(result: AttackResult, name: str) -> list[float | None]:
    """Return the mean cost of a gradient for each sample; fsum: the same however many samples there are."""
    if name not in result.costs:
        return [None] * len(result.kept)
    values = result.costs[name]
    return [math.fsum(column) / len(values) for column in values.T.tolist()]
