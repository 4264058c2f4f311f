"""`lgm_bench.evaluate`: the standard evaluation of a network on the user's images."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench import __version__
from lgm_bench.attacks import trace
from lgm_bench.attacks.budgets import L2Ball, LinfBall
from lgm_bench.attacks.checks import check_victim, check_whole
from lgm_bench.attacks.standard import (
    SCHEDULES,
    VERSION,
    Control,
    Schedule,
    Standard,
    in_order,
    members_of,
    methods_of,
    pilot,
)
from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.engine.materials import weights_sha256
from lgm_bench.evaluation.engine.stage import repeatable
from lgm_bench.evaluation.store.files import together
from lgm_bench.evaluation.store.provenance import describe_device, versions
from lgm_bench.evaluation.store.rows import Outcome, merged
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.files import expanded, write_whole
from lgm_bench.leaded import FGM, Leaded
from lgm_bench.leaded.compute import Costs, decision_costs
from lgm_bench.leaded.recording import hard_units
from lgm_bench.standard.flags import Flag, pilot_flags, square_flag
from lgm_bench.standard.result import Evaluation, Setting
from lgm_bench.standard.samples import Samples
from lgm_bench.tasks.adapter import Judged
from lgm_bench.tasks.images import COMPUTE_COLUMNS
from lgm_bench.tasks.inputs import IMAGES
from lgm_bench.tasks.standard import StandardImages
from lgm_bench.tasks.tensors import Images

PILOT = 32
"""Number of samples that give the members their order and gates their slopes."""
NORMS = {"linf": LinfBall, "l2": L2Ball}
PLAN = "plan.json"
Tick = Callable[[float], None]
"""Takes how much is done: a number of samples, or a share of a batch."""


class Plan(NamedTuple):
    """What is decided on the pilot samples, once for all batches.

    Attributes:
        standard: The members in their order.
        control: FGM with as many gradients.
        flags: Flags of the pilot samples.
        costs: Cost of each decision of the network; None if it is unknown.
    """

    standard: Standard
    control: Control
    flags: list[Flag]
    costs: Costs | None

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the members in their order."""
        return tuple(member.name for member in self.standard.members)


def evaluate(
    network: nn.Module,
    data: Any,
    eps: float = 8 / 255,
    *,
    norm: Literal["linf", "l2"] = "linf",
    budget: Literal["standard", "standard-fast"] = "standard",
    out: Path | str | None = None,
    batch_size: int = 100,
    progress: bool = True,
    name: str | None = None,
) -> Evaluation:
    """Return how robust an adaptive image classifier is in the worst case over gradients, beside FGM and a control.

    Args:
        network: Any module in eval mode that maps images (B, C, H, W) in [0, 1] to logits (B, classes), on any device.
            Normalization belongs inside. Gates are found by themselves, see `lgm_bench.check`.
        data: Images and labels as a pair of tensors, a DataLoader that does not shuffle, or a list of batches.
        eps: Largest change of an intensity, such as 8/255; with `norm="l2"`, of an image's L2 norm.
        norm: "linf" or "l2". FAB and Square take part in "linf" only.
        budget: "standard", or "standard-fast" with a fraction of the gradients.
        out: Folder for finished batches. The same call with the same folder goes on where it was stopped.
        batch_size: Images per batch, where the data is a pair of tensors. It changes no result.
        progress: Whether to show what is done and the time left.
        name: Name of the network in texts; None: its class.

    Raises:
        ConfigError: The network, the data or a value makes no sense.
        UnknownNameError: There is no such norm or budget.
    """
    schedule, ball = _checked(network, eps, norm, budget, batch_size)
    samples = Samples(data, network, batch_size)
    name = name or type(network).__name__
    setting = Setting(name, eps, norm, budget, VERSION, len(samples), weights_sha256(network), samples.sha256)
    first = samples.first(PILOT)
    fingerprint = _fingerprint(setting, network, first)
    with _folder(out) as folder:
        store = CellStore(folder, f"{name}-{VERSION}-{budget}-{norm}-eps{IMAGES.text(eps)}", fingerprint)
        with store.locked(), torch.no_grad(), repeatable(), _bar(len(samples), shown=progress) as show:
            plan = _plan(network, first, ball, schedule, store.folder / PLAN)
            done = {sample for part in store.parts(samples.ids) for sample in part.rows.column("id").to_pylist()}
            for batch in _remaining(samples, done):
                start, count = time.perf_counter(), len(done)
                rows = attacked(network, batch, plan, partial(_show_share, show, count, len(batch.ids)))
                store.add(rows, time.perf_counter() - start, describe_device(samples.device))
                done |= set(batch.ids)
            parts = store.parts(samples.ids)
    table = merged([part.rows for part in parts], samples.ids)
    flags = [*plan.flags, *square_flag(table.column("felled_by").to_pylist())]
    return Evaluation(setting, table, tuple(flags), plan.members, plan.control.total, together(parts), versions())


def _checked(network: nn.Module, eps: float, norm: str, budget: str, batch_size: int) -> tuple[Schedule, LinfBall]:
    """Return the schedule and what may change.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: There is no such norm or budget.
    """
    if not isinstance(network, nn.Module):
        raise ConfigError(f"the network must be an nn.Module, got {type(network).__name__}")
    if isinstance(network, Leaded):
        raise ConfigError("give the network itself and not Leaded(network): the evaluation chooses its own gradients")
    check_victim(network)
    task = getattr(network, "task", "images")
    if task != "images":
        raise ConfigError(
            f"the standard evaluation is for image classifiers, and the task of this network is {task}; for point "
            "clouds run lgm-bench attack with --attack pointbim --gradient fgm,lgm,soft,straight-through"
        )
    for what, value, known in (("norm", norm, NORMS), ("budget", budget, SCHEDULES)):
        if value not in known:
            raise UnknownNameError(what, value, known)
    check_whole(1, batch_size=batch_size)
    if isinstance(eps, bool) or not isinstance(eps, int | float):
        raise ConfigError(f"eps must be a number such as 8/255, got {eps!r}")
    if norm == "linf":
        IMAGES.check(eps, None, 1)
    return SCHEDULES[budget], NORMS[norm](eps)


@contextmanager
def _folder(out: Path | str | None) -> Iterator[Path]:
    """Yield the folder of finished batches; without one of the user's, a temporary one."""
    if out is not None:
        yield expanded(out)
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


def _fingerprint(setting: Setting, network: nn.Module, batch: ImageBatch) -> str:
    """Return 16 hex digits of everything that determines the rows.

    What is not in the weights, such as the thresholds of exits, shows in the network's text, its predictions and its
    decisions on the first samples.
    """
    logits, decisions = hard_units(network, batch.images)
    seen = [str(network), logits.argmax(dim=1).tolist(), {name: on.tolist() for name, on in decisions.items()}]
    text = json.dumps([setting._asdict(), __version__, seen], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plan(network: nn.Module, batch: ImageBatch, ball: LinfBall, schedule: Schedule, path: Path) -> Plan:
    """Return what is decided on the pilot samples; what takes long is read from `path` if an earlier run left it."""
    members = members_of(network, batch.images, schedule, ball)
    methods = methods_of(network, members, batch.images)
    standard = Standard(ball, schedule, members, methods)
    if not path.exists():
        fallen = pilot(standard, network, *batch)
        order = [member.name for member in in_order(members, fallen)]
        content = {"order": order, "flags": pilot_flags(network, batch, standard, fallen)}
        write_whole(path, json.dumps(content, indent=1).encode())
    content = json.loads(path.read_bytes())
    ordered = sorted(members, key=lambda member: content["order"].index(member.name))
    standard = Standard(ball, schedule, ordered, methods)
    with torch.no_grad():
        classes = network(batch.images[:1]).shape[1]
    control = Control(ball, schedule.steps, standard.gradients(classes))
    flags = [Flag(*flag) for flag in content["flags"]]
    return Plan(standard, control, flags, decision_costs(network, batch.images[:1]))


def _remaining(samples: Samples, done: Set[str]) -> Iterator[ImageBatch]:
    """Yield the batches without the samples that are done."""
    for images, labels, ids in samples:
        left = [place for place, sample in enumerate(ids) if sample not in done]
        if left:
            yield ImageBatch(images[left], labels[left], [ids[place] for place in left])


def attacked(network: nn.Module, batch: ImageBatch, plan: Plan, tick: Tick) -> pa.Table:
    """Return the rows of a batch: the verdict of the control, and of all members one after the other."""
    images, labels, ids = batch
    adapter = Images()
    clean = adapter.judged(network, images, labels, None, ids)
    options: dict[str, Any] = {"gradient": FGM(), "ids": ids, "adapter": adapter}
    first_half, second_half = _halves(tick)
    control = plan.control.attack(network, images, labels, progress=first_half, **options)
    worst = plan.standard.attack(network, images, labels, progress=second_half, **options)
    after = adapter.judged(network, worst.adversarial, labels, None, ids)
    right = ~clean.verdict.fallen
    runs = dict(zip(ids, control.kept.tolist(), strict=True))
    first = {name for name in control.felled_by if runs[name] == 0}
    outcome = Outcome(
        ids=ids,
        target=None,
        perturbed=right,
        attacked=right,
        verdict=adapter.columns(images, labels, clean.logits, after.logits, right, None) | _compute(plan, clean, after),
        distance=plan.standard.budget.distance(images, worst.adversarial),
        within_bounds=plan.standard.budget.within(images, worst.adversarial),
        clean_loss=adapter.losses(images, labels, clean.logits),
        adversarial_loss=adapter.losses(images, labels, after.logits),
        counts=adapter.counts(network, images, worst.adversarial, clean.decisions, after.decisions),
        effort={
            "felled_by": [worst.felled_by.get(name) for name in ids],
            "gradients": worst.gradients.tolist(),
            "fgm_correct": [name not in first for name in ids],
            "control_correct": [name not in control.felled_by for name in ids],
            "control_gradients": control.gradients.tolist(),
        },
    )
    return outcome.table(StandardImages)


def _compute(plan: Plan, clean: Judged, after: Judged) -> dict[str, Tensor]:
    """Return `COMPUTE_COLUMNS`; empty if the cost of the network's decisions is unknown."""
    if plan.costs is None:
        return {}
    before, executed = (plan.costs.of(judged.decisions[0]) for judged in (clean, after))
    names = [field.name for field in COMPUTE_COLUMNS]
    return dict(zip(names, (before, executed, torch.full_like(before, plan.costs.full)), strict=True))


def _halves(tick: Tick) -> tuple[trace.Progress, trace.Progress]:
    """Return what the control and the members report to: each is half of a batch."""
    return lambda i, steps: tick(i / steps / 2), lambda i, steps: tick(0.5 + i / steps / 2)


def _show_share(show: Tick, finished: int, count: int, share: float) -> None:
    show(finished + share * count)


@contextmanager
def _bar(total: int, *, shown: bool) -> Iterator[Tick]:
    """Yield a function that shows how many samples are done, with the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=600, disable=not shown) as progress:
        task = progress.add_task(f"{VERSION}, {total} images", total=total)
        yield lambda finished: progress.update(task, completed=finished)
