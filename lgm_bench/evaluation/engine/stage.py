"""The attack stage: clean pass, attack, verdict by the hard network, as a LightningModule that `Trainer.test` runs."""

import time
from collections.abc import Iterator, Set

import pyarrow as pa
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench.attacks.attack import Attack
from lgm_bench.attacks.trace import AttackResult
from lgm_bench.evaluation.engine.keeping import KeptImages
from lgm_bench.evaluation.engine.preflight import preflight
from lgm_bench.evaluation.engine.stage_parts import Sink, probe_on, repeatable
from lgm_bench.evaluation.store.rows import Outcome
from lgm_bench.leaded import GradientMethod, hard_forward
from lgm_bench.metrics.architecture_change import change_counts, change_over
from lgm_bench.tasks.adapter import check_finite_logits
from lgm_bench.tasks.images import ImageClassification


class AttackStage(pl.LightningModule):
    """Attacks a victim on a datamodule's test batches: `Trainer(inference_mode=False).test(stage, datamodule)`.

    Untargeted, the images that the hard network classifies correctly count as attacked. Targeted, every class in turn
    is the target, and the images count that are neither predicted nor labelled as it: to lead an image to its own label
    is no attack. Where the victim's architecture change is defined over all images (DynConv),
    those that do not count are perturbed too, for that number only; not so with an active set, which leaves images
    alone once they have fallen and so measures no such number.

    Args:
        victim: Images (B, 3, H, W) in [0, 1] to logits (B, classes). It is put into eval mode and its parameters are
            frozen.
        attack: What perturbs the images.
        gradient: The gradient that the attack follows; the verdict is the hard network's whatever it is.
        targeted: Whether every class in turn is the target.
        sink: Takes the rows of each batch.
        probe: Images to make the pre-flight checks on; None leaves the checks out.
        examples: Ids of the samples that the sink gets as examples.
        save_adversarial: Whether it gets every attacked image.
        history: Whether the hard network judges every iterate, see `tasks.columns`; of attacks that have some.
        n_samples: How many there are in all, see `preflight`.
    """

    def __init__(
        self,
        victim: nn.Module,
        attack: Attack,
        gradient: GradientMethod,
        *,
        targeted: bool = False,
        sink: Sink | None = None,
        probe: ImageBatch | None = None,
        examples: Set[str] = frozenset(),
        save_adversarial: bool = False,
        history: bool = False,
        n_samples: int = 0,
    ) -> None:
        super().__init__()
        self.n_samples = n_samples
        self.probe = probe
        self.victim = victim.eval().requires_grad_(False)
        self.attack, self.gradient, self.targeted, self.sink = attack, gradient, targeted, sink
        self.examples, self.save_adversarial = examples, save_adversarial
        self.history = history and attack.has_iterates

    def on_test_start(self) -> None:
        """Make the pre-flight checks."""
        if self.probe is None or self.sink is None:
            return
        n_samples = 0 if self.targeted or self.attack.active_set else self.n_samples
        with repeatable():
            probe = probe_on(self, self.probe)
            self.sink.checked(preflight(self.victim, probe, self.gradient, self.attack, n_samples))

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Attack one batch and hand its rows to the sink."""
        start = time.perf_counter()
        with repeatable():
            rows = pa.concat_tables(outcome.table(ImageClassification) for outcome in self.outcomes(batch))
        if self.sink is not None:
            self.sink.finished(rows, time.perf_counter() - start)

    def outcomes(self, batch: ImageBatch) -> Iterator[Outcome]:
        """Yield what the attack does to a batch, once for every target."""
        logits, before = hard_forward(self.victim, batch.images)
        check_finite_logits(logits, batch.ids)
        classes = logits.shape[1]
        kept = KeptImages(batch, self.examples, everything=self.save_adversarial)
        for target in range(classes) if self.targeted else (None,):
            outcome, adversarial = self._outcome(batch, logits, before, target, classes)
            kept.attempted(adversarial, outcome)
            yield outcome
        if self.sink is not None:
            kept.hand_over(self.sink)

    def _outcome(
        self, batch: ImageBatch, logits: Tensor, before: list[Tensor], target: int | None, classes: int
    ) -> tuple[Outcome, Tensor]:
        clean = logits.argmax(1)
        attacked = clean == batch.labels if target is None else (clean != target) & (batch.labels != target)
        scope = "attacked" if self.attack.active_set else change_over(self.victim)
        perturbed = attacked if scope == "attacked" else torch.ones_like(attacked)
        adversarial = batch.images.clone()
        result = self._attacked(batch, perturbed, target, classes)
        if result is not None:
            adversarial[perturbed] = result.adversarial
        new_logits, after = logits.clone(), [unit.clone() for unit in before]
        if perturbed.any():
            new_logits[perturbed], changed = hard_forward(self.victim, adversarial[perturbed])
            check_finite_logits(new_logits, batch.ids)
            for unit, new in zip(after, changed, strict=True):
                unit[perturbed] = new
        prediction = new_logits.argmax(1)
        success = attacked & (prediction != batch.labels if target is None else prediction == target)
        correct = torch.where(attacked, prediction, clean) == batch.labels
        outcome = Outcome(
            ids=batch.ids,
            target=target,
            perturbed=perturbed,
            attacked=attacked,
            verdict={
                "label": batch.labels,
                "clean_prediction": clean,
                "adversarial_prediction": prediction,
                "success": success,
                "correct": correct,
            },
            distance=self.attack.budget.distance(batch.images, adversarial),
            within_bounds=self.attack.budget.within(batch.images, adversarial),
            clean_loss=F.cross_entropy(logits, batch.labels, reduction="none"),
            adversarial_loss=F.cross_entropy(new_logits, batch.labels, reduction="none"),
            counts=change_counts(before, after) if before else None,
            history=self._withstood(batch, clean, prediction, perturbed, target, result) if self.history else None,
        )
        return outcome, adversarial

    def _withstood(
        self,
        batch: ImageBatch,
        clean: Tensor,
        prediction: Tensor,
        perturbed: Tensor,
        target: int | None,
        result: AttackResult | None,
    ) -> list[list[float]]:
        """Return the column `history`; the predictions are those of the clean and of the last images."""
        reached = [(p != batch.labels if target is None else p == target).tolist() for p in (clean, prediction)]
        iterates = iter([] if result is None else result.fallen[1:].T.tolist())
        found = []
        for first, last, attempted in zip(*reached, perturbed.tolist(), strict=True):
            between = next(iterates) if attempted else []
            values = [first, *between, *[last] * (self.attack.steps - len(between))] if attempted else [first]
            found.append([float(not value) for value in values])
        return found

    def _attacked(self, batch: ImageBatch, chosen: Tensor, target: int | None, classes: int) -> AttackResult | None:
        part = ImageBatch(
            batch.images[chosen],
            batch.labels[chosen],
            [sample_id for sample_id, keep in zip(batch.ids, chosen.tolist(), strict=True) if keep],
        )
        if not part.ids:
            return None
        wanted = None if target is None else torch.full_like(part.labels, target)

        def progress(i: int, steps: int) -> None:
            if self.sink is not None:
                self.sink.iteration(
                    i + steps * (target or 0), steps * (1 if target is None else classes), len(batch.ids)
                )

        with torch.enable_grad():
            return self.attack.attack(
                self.victim,
                part.images,
                part.labels,
                gradient=self.gradient,
                target=wanted,
                ids=part.ids,
                progress=progress,
                history=self.history,
            )
