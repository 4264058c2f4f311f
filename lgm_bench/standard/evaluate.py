"""`lgm_bench.evaluate`: the standard evaluation of a network on the user's images or point clouds."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from torch import nn

from lgm_bench import __version__
from lgm_bench.attacks.budgets import L2Ball, LinfBall
from lgm_bench.attacks.checks import check_victim, check_whole
from lgm_bench.attacks.problem import without_autocast
from lgm_bench.attacks.standard import SCHEDULES, VERSION, Schedule
from lgm_bench.attacks.standard_points import POINT_SCHEDULES, PointSchedule
from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.engine.materials import weights_sha256
from lgm_bench.evaluation.engine.stage import repeatable
from lgm_bench.evaluation.store.files import together
from lgm_bench.evaluation.store.provenance import describe_device, versions
from lgm_bench.evaluation.store.rows import merged
from lgm_bench.evaluation.store.store import CellStore
from lgm_bench.files import expanded
from lgm_bench.leaded import Leaded
from lgm_bench.standard.cloud_stage import CloudStage
from lgm_bench.standard.flags import square_flag
from lgm_bench.standard.image_stage import ImageStage
from lgm_bench.standard.result import Evaluation, Setting
from lgm_bench.standard.samples import Samples
from lgm_bench.standard.stage import Stage, Tick
from lgm_bench.tasks.adapter import Adapter, adapter_named
from lgm_bench.tasks.base import TASKS
from lgm_bench.tasks.inputs import inputs_named, parse_number

NORMS = {"linf": LinfBall, "l2": L2Ball}


def evaluate(
    network: nn.Module,
    data: Any,
    eps: float | str | None = None,
    *,
    norm: Literal["linf", "l2"] = "linf",
    budget: Literal["standard", "standard-fast"] = "standard",
    out: Path | str | None = None,
    batch_size: int = 100,
    progress: bool = True,
    name: str | None = None,
    ignored_classes: Sequence[int] = (),
) -> Evaluation:
    """Return how robust an adaptive network is in the worst case over gradients, beside FGM and a control.

    Args:
        network: Any module in eval mode that maps images (B, C, H, W) in [0, 1] to logits (B, classes), on any device.
            Normalization belongs inside. Gates are found by themselves, see `lgm_bench.check`. Or a `PointVictim`,
            which takes a `PointCloud`.
        data: Images and labels as a pair of tensors, a DataLoader that does not shuffle, or a list of batches; ids
            may come third. It is read several times. For a `PointVictim`, clouds and labels in the same forms.
        eps: Largest change of an intensity, such as 8/255; with `norm="l2"`, of an image's L2 norm. Of clouds, the
            largest move of a point along an axis, in metres. None: 8/255 or 0.01 m, with "linf".
        norm: "linf" or "l2". Clouds have "linf" only.
        budget: "standard", or "standard-fast" with a fraction of the gradients.
        out: Folder for finished batches. The same call with the same folder goes on where it was stopped.
        batch_size: Images per batch, where the data is a pair of tensors. It changes no result.
        progress: Whether to show what is done and the time left.
        name: Name of the network in texts; None: its class.
        ignored_classes: Classes that the mIoU of scenes leaves out.

    Raises:
        ConfigError: The network, the data or a value makes no sense.
        UnknownNameError: There is no such norm or budget.
    """
    adapter = _checked(network, norm, budget, batch_size, ignored_classes)
    eps = _checked_eps(eps, norm, adapter.task.inputs)
    samples = Samples(data, network, adapter, batch_size)
    name = name or type(network).__name__
    setting = Setting(name, eps, norm, budget, VERSION, len(samples), weights_sha256(network), samples.sha256)
    kind: type[Stage] = ImageStage if samples.images else CloudStage
    schedule = SCHEDULES[budget] if samples.images else POINT_SCHEDULES[budget]
    first = samples.first(kind.pilot)
    with _folder(out) as folder, without_autocast():
        fingerprint = _fingerprint(setting, schedule, network, adapter, first)
        eps_text = inputs_named(adapter.task.inputs).text(eps)
        store = CellStore(folder, f"{name}-{VERSION}-{budget}-{norm}-eps{eps_text}", fingerprint)
        with store.locked(), torch.no_grad(), repeatable(), _bar(samples, shown=progress) as show:
            stage = _stage(network, adapter, first, NORMS[norm](eps), schedule, store.folder)
            done = {sample for part in store.parts(samples.ids) for sample in part.rows.column("id").to_pylist()}
            for batch in _remaining(samples, done):
                start, count = time.perf_counter(), len(done)
                rows = stage.rows(batch, partial(_show_share, show, count, len(batch.ids)))
                store.add(rows, time.perf_counter() - start, describe_device(samples.device))
                done |= set(batch.ids)
            parts = store.parts(samples.ids)
    table = merged([part.rows for part in parts], samples.ids)
    flags = [*stage.flags, *square_flag(table.column("felled_by").to_pylist())]
    return Evaluation(setting, table, tuple(flags), stage.members, stage.gradients, together(parts), versions())


def _checked(network: nn.Module, norm: str, budget: str, batch_size: int, ignored_classes: Sequence[int]) -> Adapter:
    """Return the adapter of the network's task.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: There is no such norm or budget.
    """
    if not isinstance(network, nn.Module):
        raise ConfigError(f"the network must be an nn.Module, got {type(network).__name__}")
    if isinstance(network, Leaded):
        raise ConfigError("give the network itself and not Leaded(network): the evaluation chooses its own gradients")
    check_victim(network)
    for what, value, known in (("norm", norm, NORMS), ("budget", budget, SCHEDULES)):
        if value not in known:
            raise UnknownNameError(what, value, known)
    check_whole(1, batch_size=batch_size)
    name = getattr(network, "task", "images")
    if name not in TASKS:
        raise ConfigError(f"the task of this network is {name!r}; the standard evaluation is for {', '.join(TASKS)}")
    if norm != "linf" and name != "images":
        raise ConfigError("points move within cubes, so the norm of point clouds is linf")
    return adapter_named(name, ignored_classes)


def _checked_eps(eps: Any, norm: str, inputs: str) -> float:
    """Return eps as a number, or the usual one.

    Raises:
        ConfigError: It makes no sense, or the norm has no usual one.
    """
    kind = inputs_named(inputs)
    if eps is None and norm != "linf":
        raise ConfigError(f"the norm {norm} has no usual eps; give one, such as 0.5")
    number = parse_number(kind.usual_eps if eps is None else eps)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ConfigError(f"eps must be a number such as {kind.usual_eps}, got {eps!r}")
    if norm == "linf":
        kind.check(number, None, 1)
    elif 0 <= number < kind.smallest:
        raise ConfigError(f"eps {number:g} {kind.too_small}")
    return number


def _stage(
    network: nn.Module, adapter: Adapter, batch: Any, ball: LinfBall, schedule: Schedule | PointSchedule, folder: Path
) -> Stage:
    """Return the attacks on a network, decided on the pilot samples."""
    if isinstance(schedule, Schedule):
        return ImageStage(network, batch, ball, schedule, folder)
    return CloudStage(network, adapter, batch, ball.eps, schedule)


@contextmanager
def _folder(out: Path | str | None) -> Iterator[Path]:
    """Yield the folder of finished batches; without one of the user's, a temporary one."""
    if out is not None:
        yield expanded(out)
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


def _fingerprint(
    setting: Setting, schedule: Schedule | PointSchedule, network: nn.Module, adapter: Adapter, batch: Any
) -> str:
    """Return 16 hex digits of everything that determines the rows.

    What is not in the weights, such as the thresholds of exits, shows in the network's text, its predictions and its
    decisions on the first samples.
    """
    with torch.random.fork_rng(devices=[]):  # a network that draws lots gives the same outputs after the same seed
        torch.manual_seed(0)
        judged = adapter.judged(network, batch[0], batch[1], None, batch.ids)
    decisions = [{name: on.tolist() for name, on in of_group.items()} for of_group in judged.decisions]
    seen = [str(network), judged.logits.argmax(dim=1).tolist(), decisions, adapter.ignored_classes]
    text = json.dumps([setting._asdict(), asdict(schedule), __version__, seen], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _remaining(samples: Samples, done: Set[str]) -> Iterator[Any]:
    """Yield the batches without the samples that are done."""
    for batch in samples:
        left = [place for place, sample in enumerate(batch.ids) if sample not in done]
        if left:
            places = torch.tensor(left, device=samples.device)
            inputs, labels = samples.adapter.select(batch[0], batch[1], places)
            yield type(batch)(inputs, labels, [batch.ids[place] for place in left])


def _show_share(show: Tick, finished: int, count: int, share: float) -> None:
    show(finished + share * count)


@contextmanager
def _bar(samples: Samples, *, shown: bool) -> Iterator[Tick]:
    """Yield a function that shows how many samples are done, with the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=600, disable=not shown) as progress:
        title = f"{VERSION}, {len(samples)} {samples.adapter.task.sample}s"
        task = progress.add_task(title, total=len(samples))
        yield lambda finished: progress.update(task, completed=finished)
