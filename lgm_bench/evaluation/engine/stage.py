"""The attack stage: clean pass, attack and the hard network's verdict, as a LightningModule for `Trainer.test`."""

import logging
import math
import time
from collections.abc import Iterator, Set
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from torch import Tensor, nn

from lgm_bench.attacks.attack import Attack
from lgm_bench.attacks.trace import AttackResult
from lgm_bench.evaluation.engine.preflight import preflight
from lgm_bench.evaluation.engine.sink import Keeper, Sink
from lgm_bench.evaluation.store.rows import Outcome, distances
from lgm_bench.leaded import GradientMethod, check
from lgm_bench.leaded.compute import Costs
from lgm_bench.metrics.architecture_change import ChangeCounts, change_over
from lgm_bench.tasks.adapter import Adapter, Judged, Verdict
from lgm_bench.tasks.images import COMPUTE_COLUMNS

log = logging.getLogger(__name__)

COSTS = ("voxels", "gflops")


class AttackStage(pl.LightningModule):
    """Attacks a victim on a datamodule's test batches: `Trainer(inference_mode=False).test(stage, datamodule)`.

    The task decides which samples count as attacked. An untargeted attack runs once per sample, a targeted one once per
    sample and class. Some victims measure their architecture change over all samples (see `change_over`). Samples that
    do not count are then perturbed too, for this figure only. With an active set there is no such figure, since
    the attack leaves samples alone once it has succeeded on them.

    Args:
        victim: The network; it is put into eval mode, with frozen parameters.
        attack: The attack.
        gradient: The gradient that the attack follows; verdicts are always the hard network's.
        adapter: The adapter of the task of victim and data set.
        sink: Takes the rows of each batch.
        targeted: Whether every class in turn is the target.
        probe: Samples for the pre-flight checks; None leaves the checks out.
        examples: Ids of the samples that are kept as examples.
        save_adversarial: Whether every attacked sample is kept.
        history: Whether the hard network judges every iterate, see `tasks.columns`. Attacks that keep their best
            iterate judge them anyway.
        n_samples: Number of samples in the whole cell, see `preflight`.
    """

    def __init__(
        self,
        victim: nn.Module,
        attack: Attack,
        gradient: GradientMethod,
        adapter: Adapter,
        sink: Sink,
        *,
        targeted: bool = False,
        probe: Any = None,
        examples: Set[str] = frozenset(),
        save_adversarial: bool = False,
        history: bool = False,
        n_samples: int = 0,
    ) -> None:
        super().__init__()
        self.victim = victim.eval().requires_grad_(False)
        self.attack, self.gradient, self.adapter, self.targeted = attack, gradient, adapter, targeted
        self.sink, self.probe, self.n_samples = sink, probe, n_samples
        self.examples, self.save_adversarial = examples, save_adversarial
        self._counted = False
        self._costs: Costs | None = None
        self._waiting: tuple[Any, Judged] | None = None
        self.history = (history and attack.has_iterates) or attack.keeps_best
        self.perturbs_all = change_over(victim) == "all" and not attack.active_set

    def on_test_start(self) -> None:
        """Make the pre-flight checks, and log what keeps a soft gradient from working on the victim."""
        if self.probe is None:
            return
        n_samples = 0 if self.targeted or self.attack.active_set else self.n_samples
        probe = self.trainer.precision_plugin.convert_input(move_data_to_device(self.probe, self.device))
        if self.gradient.softens and self.adapter.task.inputs == "images":
            for problem in check(self.victim, *probe[:2]).problems:
                log.warning("%r: %s (see lgm_bench.check)", self.gradient, problem)
        with repeatable():
            self.sink.checked(preflight(self.victim, self.adapter, probe, self.gradient, self.attack, n_samples))

    def test_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Attack one batch and hand its rows to the sink."""
        start = time.perf_counter()
        with repeatable():
            inputs, labels, ids = batch = self.adapter.laid_out(batch)
            clean = self.adapter.judged(self.victim, inputs, labels, None, ids)
            if self.adapter.pass_size is None or self.targeted or self.perturbs_all:
                self._finish(batch, clean, start)
            else:
                self._finish_whole_passes(batch, clean, start)

    def on_test_epoch_end(self) -> None:
        """Attack the samples that wait."""
        if self._waiting is not None:
            (batch, clean), self._waiting = self._waiting, None
            with repeatable():
                self._finish(batch, clean, time.perf_counter())

    def _finish_whole_passes(self, batch: Any, clean: Judged, start: float) -> None:
        """Attack as many samples as fill passes through the network; the rest waits for the next batch.

        Without this, up to a fifth of the passes would be padding: only samples that the network gets right are
        attacked.
        """
        if self._waiting is not None:
            batch, clean = _joined(self._waiting, (batch, clean))
        _, labels, ids = batch = self.adapter.laid_out(batch)
        attacked = self.adapter.attacked(clean, labels, None).cumsum(0)
        waiting = int(attacked[-1]) % (self.adapter.pass_size or 1)
        end = int((attacked <= attacked[-1] - waiting).sum()) if waiting else len(ids)
        self._waiting = _cut(batch, clean, slice(end, None)) if end < len(ids) else None
        if end:
            self._finish(*_cut(batch, clean, slice(end)), start)

    def _finish(self, batch: Any, clean: Judged, start: float) -> None:
        rows = pa.concat_tables(outcome.table(self.adapter.task) for outcome in self.outcomes(batch, clean))
        self.sink.finished(rows, time.perf_counter() - start)

    def outcomes(self, batch: Any, clean: Judged) -> Iterator[Outcome]:
        """Yield the outcome of the attack on a batch (inputs, labels, ids), once per target."""
        kept = Keeper(self.adapter, batch, clean.logits, self.examples, everything=self.save_adversarial)
        targets = list(range(clean.logits.shape[1])) if self.targeted else [None]
        for target in targets:
            outcome, adversarial, logits = self._outcome(batch, clean, target, len(targets))
            kept.attempted(target, adversarial, logits, outcome.attacked)
            yield outcome
        kept.hand_over(self.sink, self.victim)

    def _outcome(self, batch: Any, clean: Judged, target: int | None, n_targets: int) -> tuple[Outcome, Any, Tensor]:
        """Return the outcome of one attack on a batch, the attacked inputs, and the hard network's logits for them."""
        (inputs, labels, ids), adapter = batch, self.adapter
        attacked = adapter.attacked(clean, labels, target)
        perturbed = torch.ones_like(attacked) if self.perturbs_all else attacked
        values, logits = adapter.values(inputs).clone(), clean.logits.clone()
        result = after = None
        if perturbed.any():
            places = perturbed.nonzero().squeeze(1)
            some, some_labels = adapter.select(inputs, labels, places)
            some_ids = [ids[place] for place in places.tolist()]
            wanted = None if target is None else torch.full((len(places),), target, device=labels.device)
            with torch.enable_grad():
                result = self.attack.attack(
                    self.victim,
                    some,
                    some_labels,
                    gradient=self.gradient,
                    target=wanted,
                    ids=some_ids,
                    progress=lambda i, steps: self.sink.iteration(
                        i + steps * (target or 0), steps * n_targets, len(ids)
                    ),
                    adapter=adapter,
                    history=self.history,
                )
            after = adapter.judged(
                self.victim, adapter.replaced(some, result.adversarial), some_labels, wanted, some_ids
            )
            values[perturbed[adapter.owner(inputs)]] = result.adversarial
            logits[perturbed[adapter.logit_owner(inputs)]] = after.logits
        adversarial = adapter.replaced(inputs, values)
        distance, within = distances(adapter, self.attack.budget, inputs, values)
        outcome = Outcome(
            ids=ids,
            target=target,
            perturbed=perturbed,
            attacked=attacked,
            verdict=adapter.columns(inputs, labels, clean.logits, logits, attacked, target)
            | self._compute(batch, clean, after, perturbed),
            distance=distance,
            within_bounds=within,
            clean_loss=adapter.losses(inputs, labels, clean.logits),
            adversarial_loss=adapter.losses(inputs, labels, logits),
            counts=self._counts(batch, adversarial, clean, after, perturbed),
            effort=_effort(result, perturbed, self.attack),
            followed=self._followed(batch, clean, after, result, perturbed, target) if self.history else None,
        )
        return outcome, adversarial, logits

    def _counts(
        self, batch: Any, adversarial: Any, clean: Judged, after: Judged | None, perturbed: Tensor
    ) -> ChangeCounts | None:
        """Return how many decisions changed; samples that were not perturbed have no changes."""
        inputs, labels, ids = batch
        parts = []
        for chosen, decisions in ((perturbed, after.decisions if after else None), (~perturbed, None)):
            places = chosen.nonzero().squeeze(1)
            if not len(places):
                continue
            before = _of_samples(clean.decisions, chosen)
            old, new = (self.adapter.select(cloud, labels, places)[0] for cloud in (inputs, adversarial))
            counts = self.adapter.counts(self.victim, old, new, before, decisions or before)
            if counts is None:
                return None
            parts.append((places, counts))
        return ChangeCounts.joined(parts, len(ids))

    def _compute(self, batch: Any, clean: Judged, after: Judged | None, perturbed: Tensor) -> dict[str, Tensor]:
        """Return `tasks.images.COMPUTE_COLUMNS`; empty if the cost of the victim's decisions is unknown."""
        if not self._counted:
            inputs, labels, _ = batch
            self._costs = self.adapter.decision_costs(self.victim, inputs, labels)
            self._counted = True
        if self._costs is None:
            return {}
        before = self._costs.of(clean.decisions[0])
        executed = before.clone()
        if after is not None:
            executed[perturbed] = self._costs.of(after.decisions[0])
        names = [field.name for field in COMPUTE_COLUMNS]
        return dict(zip(names, (before, executed, torch.full_like(before, self._costs.full)), strict=True))

    def _followed(
        self,
        batch: Any,
        clean: Judged,
        after: Judged | None,
        result: AttackResult | None,
        perturbed: Tensor,
        target: int | None,
    ) -> dict[str, list[list[float]]]:
        """Return `Outcome.followed`: clean values, then those of each iteration; only the first without an attack."""
        first, adapter = clean.verdict, self.adapter
        if target is not None:
            first = adapter.verdict(clean.logits, batch[1], torch.full_like(batch[1], target), batch[2])
        columns = {name: values.reshape(len(values), -1).tolist() for name, values in adapter.followed(first).items()}
        if after is None or result is None:
            return columns
        iterates = adapter.followed(Verdict(result.scores, result.fallen, result.counts))
        for name, end in adapter.followed(after.verdict).items():
            judged = iterates[name][int(self.attack.judges_start) :]
            values = torch.cat([judged, end.cpu().expand(self.attack.steps - len(judged), *end.shape)])
            for place, of_sample in zip(perturbed.nonzero().flatten().tolist(), values.transpose(0, 1), strict=True):
                columns[name][place] += of_sample.flatten().tolist()
        return columns


def repeatable() -> AbstractContextManager[None]:
    """Return a context in which a GPU computes the same bits every time, in full float32."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    return flags


def _cut(batch: Any, clean: Judged, some: slice) -> tuple[Any, Judged]:
    """Return some samples of a batch of tensors, and the hard network's output for them."""
    inputs, labels, ids = batch
    decisions = [{name: unit[some] for name, unit in clean.decisions[0].items()}]
    verdict = Verdict(*(value[some] for value in clean.verdict))
    return (inputs[some], labels[some], ids[some]), Judged(clean.logits[some], verdict, decisions)


def _joined(*parts: tuple[Any, Judged]) -> tuple[Any, Judged]:
    """Return several batches of tensors as one, see `_cut`."""
    batches, outputs = zip(*parts, strict=True)
    inputs, labels, ids = zip(*batches, strict=True)
    units = [clean.decisions[0] for clean in outputs]
    decisions = [{name: torch.cat([unit[name] for unit in units]) for name in units[0]}]
    verdict = Verdict(*map(torch.cat, zip(*(clean.verdict for clean in outputs), strict=True)))
    batch = torch.cat(inputs), torch.cat(labels), [name for names in ids for name in names]
    return batch, Judged(torch.cat([clean.logits for clean in outputs]), verdict, decisions)


def _of_samples(decisions: list[dict[str, Tensor]], chosen: Tensor) -> list[dict[str, Tensor]]:
    """Return the decisions of the `chosen` samples (B,) bool; `decisions` has one entry for all, or one per sample."""
    if len(decisions) == 1:
        return [{name: unit[chosen] for name, unit in decisions[0].items()}]
    return [of_sample for of_sample, wanted in zip(decisions, chosen.tolist(), strict=True) if wanted]


def _effort(result: AttackResult | None, perturbed: Tensor, attack: Attack) -> dict[str, list[float | None]]:
    """Return `Outcome.effort`: the iterate that was kept, and the mean cost of a gradient, where it was counted."""
    columns: dict[str, list[float | None]] = {name: [None] * len(perturbed) for name in ("iterate", *COSTS)}
    if result is None:
        return columns
    places = perturbed.nonzero().flatten().tolist()
    found: dict[str, list[float]] = {"iterate": result.kept.tolist()} if attack.keeps_best else {}
    for name, values in result.costs.items():  # fsum: independent of the number of samples
        found[name] = [math.fsum(column) / len(values) for column in values.T.tolist()]
    for name, values_of in found.items():
        for place, value in zip(places, values_of, strict=True):
            columns[name][place] = value
    return columns
