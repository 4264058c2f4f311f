"""The standard evaluation of image classifiers: members, control and rows."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import nn

from datamodules.batch import ImageBatch
from lgm_bench.attacks.budgets import LinfBall
from lgm_bench.attacks.standard import Control, Schedule, Standard, in_order, is_static, members_of, methods_of, pilot
from lgm_bench.evaluation.store.files import content_of, set_aside, writing
from lgm_bench.files import write_whole
from lgm_bench.leaded.compute import decision_costs
from lgm_bench.standard.averaged import PASSES, Averaged
from lgm_bench.standard.flags import RANDOM, Flag, pilot_flags, random_flag
from lgm_bench.standard.stage import Stage, Tick, part
from lgm_bench.tasks.standard import StandardImages
from lgm_bench.tasks.tensors import Images

PLAN = "plan.json"


class ImageStage(Stage):
    """The members in the order that the pilot images give them, and the control.

    A network without gates gets AutoAttack in AutoAttack's order, which is the control as well. One that draws lots is
    evaluated as the mean of several passes.

    Args:
        network: Maps images to logits.
        batch: The pilot images, which set the slopes too.
        ball: What may change.
        schedule: The budget of the evaluation.
        folder: Where an earlier run left what takes long, or this one leaves it.
    """

    pilot = 32
    task = StandardImages

    def __init__(self, network: nn.Module, batch: ImageBatch, ball: LinfBall, schedule: Schedule, folder: Path) -> None:
        path = folder / PLAN
        plan = _read(path)
        meaning = f"what is attacked and judged is the mean of {PASSES} passes"
        flags = (
            [Flag(*flag) for flag in plan["flags"]] if plan else random_flag(network, batch.images, "images", meaning)
        )
        lots = any(flag.name == RANDOM for flag in flags)  # a stopped run goes on as it began, whatever is drawn now
        if lots:
            network = Averaged(network)
        self.network, self.adapter = network, Images()
        members = members_of(network, batch.images, schedule)
        methods = methods_of(network, members, batch.images)
        static = is_static(member.name for member in members)
        if plan is None:
            standard = Standard(ball, schedule, members, methods)
            fallen = pilot(standard, network, *batch)
            ordered = members if static else in_order(members, fallen)
            flags += pilot_flags(network, batch, standard, fallen)
            plan = {"order": [member.name for member in ordered], "flags": flags}
            with writing(path):
                write_whole(path, json.dumps(plan, indent=1).encode())
        ordered = sorted(members, key=lambda member: plan["order"].index(member.name))
        self.standard = Standard(ball, schedule, ordered, methods)
        with torch.no_grad():
            classes = network(batch.images[:1]).shape[1]
        self.gradients = self.standard.gradients(classes)
        self.control = None if static else Control(self.standard)
        self.members = tuple(member.name for member in ordered)
        self.flags = flags
        self.costs = None if lots else decision_costs(network, batch.images[:1])

    def rows(self, batch: ImageBatch, tick: Tick) -> pa.Table:
        images, labels, ids = batch
        clean = self.adapter.judged(self.network, images, labels, None, ids)
        share = 0.5 if self.control else 1.0
        worst = self.attacked(self.standard, batch, part(tick, 0, share))
        control = self.attacked(self.control, batch, part(tick, share, share)) if self.control else worst
        fallen = {name for name, member in control.felled_by.items() if member != "square"}
        runs = dict(zip(ids, control.kept.tolist(), strict=True))
        effort = {
            "felled_by": [worst.felled_by.get(name) for name in ids],
            "gradients": worst.gradients.tolist(),
            "fgm_correct": [name not in fallen or runs[name] > 0 for name in ids],
            "control_correct": [name not in fallen for name in ids],
            "control_gradients": control.gradients.tolist(),
        }
        return self.table(batch, clean, worst.adversarial, self.standard.budget, {}, effort)


def _read(path: Path) -> Any:
    """Return what an earlier run left; None without one, or if the file is damaged."""
    content = content_of(path)
    try:
        return None if content is None else json.loads(content)
    except ValueError as error:
        set_aside(path, f"it is damaged ({error})")
        return None
