"""The standard evaluation of networks on point clouds: members, control and rows of shapes and scenes."""

from typing import Any

import pyarrow as pa
from torch import Tensor, nn

from datamodules.batch import PointBatch
from lgm_bench.attacks.standard_points import (
    PointMember,
    PointSchedule,
    StandardPoints,
    point_control,
    point_members,
    point_methods,
)
from lgm_bench.attacks.trace import AttackResult
from lgm_bench.standard.flags import cloud_flags
from lgm_bench.standard.stage import Stage, Tick, part
from lgm_bench.tasks.adapter import Adapter, Judged
from lgm_bench.tasks.standard import StandardScenes, StandardShapes


class CloudStage(Stage):
    """Point-BIM under every gradient method, and FGM from as many starts.

    Args:
        network: The network.
        adapter: Adapter of its task.
        batch: The pilot clouds.
        eps: Largest move of a point along an axis, metres.
        schedule: The budget of the evaluation.
    """

    pilot = 4

    def __init__(
        self, network: nn.Module, adapter: Adapter, batch: PointBatch, eps: float, schedule: PointSchedule
    ) -> None:
        self.network, self.adapter = network, adapter
        self.task = StandardScenes if adapter.task.labels_points else StandardShapes
        members, control = point_members(schedule), point_control(schedule)
        methods = point_methods(network, [*members, *control], batch.cloud, eps)

        def runs(of: list[PointMember]) -> StandardPoints:
            return StandardPoints(eps, schedule.steps, of, methods)

        self.standard, self.control, self.fgm = runs(members), runs(control), runs(control[:1])
        self.members = tuple(member.name for member in members)
        self.gradients = self.standard.gradients
        self.flags = cloud_flags(network, adapter, batch, self.standard)

    def rows(self, batch: PointBatch, tick: Tick) -> pa.Table:
        cloud, labels, ids = batch
        clean = self.adapter.judged(self.network, cloud, labels, None, ids)
        fgm, control = self.attacked(self.fgm, batch), self.attacked(self.control, batch, part(tick, 0, 0.5))
        worst = self.attacked(self.standard, batch, part(tick, 0.5, 0.5))
        effort: dict[str, Any] = {
            "felled_by": [worst.felled_by.get(name) for name in ids],
            "gradients": worst.gradients.tolist(),
            "control_gradients": control.gradients.tolist(),
        }
        columns = {}
        for name, result in (("fgm", fgm), ("control", control)):
            if self.adapter.task.labels_points:
                columns[f"{name}_confusion"] = self._confusion(batch, clean, result)
            else:
                effort[f"{name}_correct"] = [sample not in result.felled_by for sample in ids]
        return self.table(batch, clean, worst.adversarial, self.standard.budget, columns, effort)

    def _confusion(self, batch: PointBatch, clean: Judged, result: AttackResult) -> Tensor | list[int]:
        """Return the confusion matrices (B, C, C) of scenes under an attack."""
        cloud, labels, ids = batch
        after = self.adapter.judged(self.network, cloud.moved(result.adversarial), labels, None, ids)
        attacked = self.adapter.attacked(clean, labels, None)
        return self.adapter.columns(cloud, labels, clean.logits, after.logits, attacked, None)["confusion"]
