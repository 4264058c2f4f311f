"""The standard evaluation of image classifiers: members, control and rows."""

import json
from pathlib import Path

import pyarrow as pa
import torch
from torch import nn

from datamodules.batch import ImageBatch
from lgm_bench.attacks.budgets import LinfBall
from lgm_bench.attacks.standard import Control, Schedule, Standard, in_order, members_of, methods_of, pilot
from lgm_bench.files import write_whole
from lgm_bench.leaded import FGM
from lgm_bench.leaded.compute import decision_costs
from lgm_bench.standard.flags import Flag, pilot_flags
from lgm_bench.standard.stage import Stage, Tick, halves
from lgm_bench.tasks.standard import StandardImages
from lgm_bench.tasks.tensors import Images

PLAN = "plan.json"


class ImageStage(Stage):
    """The members in the order that the pilot images give them, and FGM with as many gradients.

    Args:
        network: The network.
        batch: The pilot images, which set the slopes too.
        ball: What may change.
        schedule: The budget of the evaluation.
        folder: Where an earlier run left what takes long, or this one leaves it.
    """

    pilot = 32
    task = StandardImages

    def __init__(self, network: nn.Module, batch: ImageBatch, ball: LinfBall, schedule: Schedule, folder: Path) -> None:
        self.network, self.adapter = network, Images()
        members = members_of(network, batch.images, schedule, ball)
        methods = methods_of(network, members, batch.images)
        path = folder / PLAN
        if not path.exists():
            standard = Standard(ball, schedule, members, methods)
            fallen = pilot(standard, network, *batch)
            order = [member.name for member in in_order(members, fallen)]
            content = {"order": order, "flags": pilot_flags(network, batch, standard, fallen)}
            write_whole(path, json.dumps(content, indent=1).encode())
        content = json.loads(path.read_bytes())
        ordered = sorted(members, key=lambda member: content["order"].index(member.name))
        self.standard = Standard(ball, schedule, ordered, methods)
        with torch.no_grad():
            classes = network(batch.images[:1]).shape[1]
        self.gradients = self.standard.gradients(classes)
        self.control = Control(ball, schedule.steps, self.gradients)
        self.members = tuple(member.name for member in ordered)
        self.flags = [Flag(*flag) for flag in content["flags"]]
        self.costs = decision_costs(network, batch.images[:1])

    def rows(self, batch: ImageBatch, tick: Tick) -> pa.Table:
        images, labels, ids = batch
        clean = self.adapter.judged(self.network, images, labels, None, ids)
        first_half, second_half = halves(tick)
        fgm = FGM()
        control = self.control.attack(
            self.network, images, labels, gradient=fgm, ids=ids, adapter=self.adapter, progress=first_half
        )
        worst = self.standard.attack(
            self.network, images, labels, gradient=fgm, ids=ids, adapter=self.adapter, progress=second_half
        )
        runs = dict(zip(ids, control.kept.tolist(), strict=True))
        first = {name for name in control.felled_by if runs[name] == 0}
        effort = {
            "felled_by": [worst.felled_by.get(name) for name in ids],
            "gradients": worst.gradients.tolist(),
            "fgm_correct": [name not in first for name in ids],
            "control_correct": [name not in control.felled_by for name in ids],
            "control_gradients": control.gradients.tolist(),
        }
        return self.table(batch, clean, worst.adversarial, self.standard.budget, {}, effort)
