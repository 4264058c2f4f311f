"""Objectives: what an attack raises, one number per sample.

The number depends on the sample alone, so that its gradient does not depend on the batch.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.leaded.compute import Costs
from lgm_bench.leaded.recording import Call
from lgm_bench.losses import lovasz_softmax, margin

TINY = 1e-12


class Pass(NamedTuple):
    """One forward pass under the gradient method, of B samples.

    Attributes:
        logits: (K, C), attached to the graph; K is B, or for a single scene the number of its labelled points.
        labels: (K,) int64.
        target: Classes wanted, (B,) int64; None is an untargeted attack.
        values: Current values, (R, ...), attached to the graph.
        clean: Values before the attack, (R, ...).
        owner: (R,) int64, the sample of each row of the values.
        samples: (B,) int64, places of the samples in the attack's whole batch.
        decisions: Decisions of the units in this pass, in call order; only for an objective that `reads_decisions`.
        costs: What each decision costs; only for an objective that `reads_costs`.
    """

    logits: Tensor
    labels: Tensor
    target: Tensor | None
    values: Tensor
    clean: Tensor
    owner: Tensor
    samples: Tensor
    decisions: list[Call]
    costs: Costs | None = None

    @property
    def classes(self) -> Tensor:
        """The targets (K,), or the labels of an untargeted attack."""
        return self.labels if self.target is None else self.target


class Objective:
    """What an attack raises; called with a `Pass`.

    Attributes:
        reads_decisions: Whether it uses the decisions of the pass, which are recorded only then.
        reads_costs: Whether it uses what decisions cost, which is counted only then.
    """

    reads_decisions: ClassVar[bool] = False
    reads_costs: ClassVar[bool] = False

    def __call__(self, seen: Pass) -> Tensor:
        """Return one value per sample, (B,); where B is 1, any number of values, whose sum counts."""
        raise NotImplementedError


class CrossEntropy(Objective):
    """The cross-entropy of the labels, or minus that of the targets.

    In scenes it is summed over the labelled points. The released runs take the mean. That changes the gradient of all
    points by one factor, and no step that is relative to a point's largest component.
    """

    def __call__(self, seen: Pass) -> Tensor:
        loss = F.cross_entropy(seen.logits, seen.classes, reduction="none")
        return loss if seen.target is None else -loss


class Margin(Objective):
    """Minus the loss of Carlini & Wagner (2017).

    max(z_y - max_{j != y} z_j, -kappa) untargeted, max(max_{j != t} z_j - z_t, -kappa) targeted.

    Args:
        kappa: Margin by which a wrong class, or the target, has to lead before the gradient becomes 0.
    """

    def __init__(self, kappa: float = 0.0) -> None:
        self.kappa = kappa

    def __call__(self, seen: Pass) -> Tensor:
        lead = margin(seen.logits, seen.classes)
        return -(lead if seen.target is None else -lead).clamp(min=-self.kappa)


class DLR(Objective):
    """Difference of logits ratio (Croce & Hein 2020, Eq. 4) of the labels, or minus that of the targets.

    -(z_y - max_{j != y} z_j) / (z_(1) - z_(3)), where z_(k) is the k-th largest logit. With fewer than three classes,
    the numerator.
    """

    def __call__(self, seen: Pass) -> Tensor:
        ratio = _dlr(seen.logits, seen.classes)
        return ratio if seen.target is None else -ratio


class TargetedDLR(Objective):
    """The targeted difference of logits ratio (Croce & Hein 2020, Eq. 5) of the classes `aim` over the labels.

    -(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2). A targeted attack must beat every class and not only the label: it
    raises `DLR` of its target instead. With too few classes for a ratio, the difference of the two logits is raised.

    Args:
        aim: Classes (B,) int64 of the whole batch.
    """

    def __init__(self, aim: Tensor) -> None:
        self.aim = aim

    def __call__(self, seen: Pass) -> Tensor:
        classes, aim = seen.logits.shape[1], self.aim[seen.samples]
        if seen.target is not None and classes >= 3:
            return -_dlr(seen.logits, aim)
        lead = lead_over(seen.logits, aim, seen.labels)
        if seen.target is not None or classes < 4:
            return lead
        ordered = seen.logits.sort(dim=1, descending=True).values
        return lead / (ordered[:, 0] - 0.5 * (ordered[:, 2] + ordered[:, 3]) + TINY)


class Lovasz(Objective):
    """The Lovasz-softmax loss of one scene (Berman et al. 2018), for segmentation."""

    def __call__(self, seen: Pass) -> Tensor:
        return lovasz_softmax(seen.logits.softmax(dim=1), seen.labels)


class Compute(Objective):
    """The share of the network's multiply-adds that is executed: occupancy times cost, summed over all decisions.

    Under a leaded gradient its gradient passes through the occupancies. Under FGM they are constant and there is none.

    Args:
        sign: 1 to make the network compute more, -1 to make it compute less.
        kept: Weight of a prediction that is to stay: lowers the objective by this much for each logit by which another
            class leads over the label, or over the target. With 0 the prediction does not matter.
    """

    reads_decisions = reads_costs = True

    def __init__(self, sign: int = 1, kept: float = 0.0) -> None:
        self.sign, self.kept = sign, kept

    def __call__(self, seen: Pass) -> Tensor:
        costs = seen.costs
        if costs is None:
            raise ConfigError("the costs of the network's decisions are unknown; say in controls() what gates control")
        share = costs.of({call.name: call.executed for call in seen.decisions}) / costs.full
        return self.sign * share + self.kept * margin(seen.logits, seen.classes).clamp(max=0)


class ExitCrossEntropy(Objective):
    """The cross-entropy of the labels at the exits themselves, or minus that of the targets, whichever exit answers.

    These are the losses of RDI-Nets' released attacks (Hu et al. 2020): the main exit, each single one, and their mean.
    Where a network has no gates but its exits, every gradient method gives the same gradient.

    Args:
        exit: Number of the exit, from 0; -1 is the last one. None: the mean over all exits.
    """

    reads_decisions = True

    def __init__(self, exit: int | None = None) -> None:
        self.exit = exit

    def __call__(self, seen: Pass) -> Tensor:
        outputs = exit_outputs(seen)
        classes = seen.classes[:, None].expand(outputs.shape[:2])
        losses = F.cross_entropy(outputs.flatten(0, 1), classes.flatten(), reduction="none").view(classes.shape)
        loss = losses.mean(dim=1) if self.exit is None else losses[:, self.exit]
        return loss if seen.target is None else -loss


class DeepSloth(Objective):
    """Minus the distance of every exit but the last to the uniform distribution (Hong et al. 2021), a baseline.

    No exit is then confident enough to answer. It follows any gradient, as it looks at the exits' outputs alone.
    """

    reads_decisions = True

    def __call__(self, seen: Pass) -> Tensor:
        return exit_outputs(seen)[:, :-1].log_softmax(dim=-1).mean(dim=(1, 2))


OBJECTIVES: Mapping[str, Callable[[], Objective]] = {
    "cross_entropy": CrossEntropy,
    "margin": Margin,
    "dlr": DLR,
    "lovasz": Lovasz,
    "compute": Compute,
    "compute-kept": partial(Compute, kept=1.0),
    "underload": partial(Compute, sign=-1),
    "deepsloth": DeepSloth,
    "exits": ExitCrossEntropy,
    "last-exit": partial(ExitCrossEntropy, -1),
}


def objective_named(name: str) -> Objective:
    """Return the objective of that name, with its default options.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in OBJECTIVES:
        raise UnknownNameError("loss", name, OBJECTIVES)
    return OBJECTIVES[name]()


def exit_outputs(seen: Pass) -> Tensor:
    """Return what each exit answers, (B, K, C).

    Raises:
        ConfigError: There are no exits, or their outputs were not given to the gate.
    """
    outputs = [call.outputs for call in seen.decisions if call.outputs is not None]
    if len(outputs) != 1:
        raise ConfigError(
            f"this loss is for a network with one Exit gate that is given the exits' outputs, found {len(outputs)}"
        )
    return outputs[0]


def lead_over(logits: Tensor, aim: Tensor, others: Tensor) -> Tensor:
    """Return by how much the logits of the classes `aim` (B,) are above those of `others` (B,)."""
    return (logits.gather(1, aim[:, None]) - logits.gather(1, others[:, None])).squeeze(1)


def _dlr(logits: Tensor, classes: Tensor) -> Tensor:
    lead = -margin(logits, classes)
    if logits.shape[1] < 3:
        return lead
    ordered = logits.sort(dim=1, descending=True).values
    return lead / (ordered[:, 0] - ordered[:, 2] + TINY)
