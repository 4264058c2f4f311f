"""Objectives by name: losses about the prediction, and losses about the compute."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lgm_bench.attacks.objective import Objective, Pass
from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.leaded.compute import Costs
from lgm_bench.leaded.gates import PRESENT
from lgm_bench.losses import cross_entropy, lovasz_softmax, margin

TINY = 1e-12


class CrossEntropy(Objective):
    """The cross-entropy of the labels, or minus that of the targets.

    In scenes it is the sum over the labelled points. The released runs take the mean, and their steps are the same.
    """

    def __call__(self, seen: Pass) -> Tensor:
        loss = cross_entropy(seen.logits, seen.classes)
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

    -(z_y - max_{j != y} z_j) / (z_(1) - z_(3)), where z_(k) is the k-th largest logit. With fewer than three classes
    it is the numerator alone.
    """

    def __call__(self, seen: Pass) -> Tensor:
        ratio = _dlr(seen.logits, seen.classes)
        return ratio if seen.target is None else -ratio


class TargetedDLR(Objective):
    """The targeted difference of logits ratio (Croce & Hein 2020, Eq. 5) of the classes `aim` over the labels.

    -(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2). A targeted attack has to beat every class and not only the label, so
    it raises minus the `DLR` of its target instead. With too few classes for a ratio, it is the difference of logits.

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
    """What the network computes: the share of its multiply-adds, occupancy times cost summed over all decisions.

    Of a network on voxels, where what is on does not depend on scores, it is the sum of the voxels' occupancies. Under
    a leaded gradient the gradient passes through the occupancies. Under FGM they are constant, so it has none.

    Args:
        sign: 1 to make the network compute more, -1 to make it compute less.
        kept: Weight of keeping the prediction: the objective falls by this much times the lead of another class over
            the label, or over the target. With 0 the prediction does not matter.
    """

    reads_decisions = reads_costs = True

    def __init__(self, sign: int = 1, kept: float = 0.0) -> None:
        self.sign, self.kept, self.goal = sign, kept, self

    def __call__(self, seen: Pass) -> Tensor:
        if seen.voxels is not None:
            occupancy, sample = seen.voxels
            return self.sign * occupancy.new_zeros(len(seen.samples)).index_add(0, sample, occupancy)
        if seen.costs is None:
            raise ConfigError(
                "the costs of the network's decisions are unknown; declare in controls() what gates control"
            )
        return self.value(seen.costs, {call.name: call.executed for call in seen.decisions}, seen.logits, seen.classes)

    def value(self, costs: Costs, executed: Mapping[str, Tensor], logits: Tensor, classes: Tensor) -> Tensor:
        """Return the value of each sample, (B,) float64.

        Args:
            costs: Cost of each decision.
            executed: By name of the call, how far what each decision controls is executed; see `Costs.of`.
            logits: (B, C).
            classes: (B,) int64, the labels or the targets.
        """
        return self.sign * costs.of(executed) / costs.full + self.kept * margin(logits, classes).clamp(max=0)


class ExitCrossEntropy(Objective):
    """The cross-entropy of the labels, or minus that of the targets, at given exits and not at the one that answers.

    These are the losses of the released attacks on RDI-Nets (Hu et al. 2020): main exit, single exits, and their mean.
    If a network has no gates except its exits, every gradient method gives the same gradient.

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
    """Minus the distance of all exits but the last from the uniform distribution (Hong et al. 2021), a baseline.

    No exit is then confident enough to stop. It works with any gradient, since it depends only on the exits' outputs.
    """

    reads_decisions = True
    goal = Compute()

    def __call__(self, seen: Pass) -> Tensor:
        return exit_outputs(seen)[:, :-1].log_softmax(dim=-1).mean(dim=(1, 2))


class GradMDM(Objective):
    """The power loss of GradMDM (Pan et al. 2023), a baseline: the p-norm of the decisions that are off.

    ||min(g, 1/2)||_p over all decisions of a sample, where g is the gate's own probability, sigmoid(margin). Decisions
    that are on have no gradient. Of the others, a norm with a large p raises those most that are almost on. It depends
    only on scores, so it works with any gradient.

    The publication also lowers the squared L2 norm of the change, `gradmdm-l2` here: gamma = 100 for 1.5e5 times this
    power, on images divided by about 0.225. For its first ten of 100 Adam steps it takes p = 1, which is not done here.

    Args:
        p: The power; the publication's for SkipNet is 3.5.
        distance: Weight of the squared L2 norm, in units of intensity. With 0, the budget alone bounds the change.
    """

    reads_decisions = True
    goal = Compute()

    def __init__(self, p: float = 3.5, distance: float = 0.0) -> None:
        self.p, self.distance = p, distance

    def __call__(self, seen: Pass) -> Tensor:
        gates = [
            call.unit.executed(call.unit.composed(call.margin.sigmoid())).reshape(len(call.score), -1)
            for call in seen.decisions
            if call.unit.used
        ]
        if not gates:
            raise ConfigError("this loss is for a network with gates; found none")
        power: Tensor = torch.linalg.vector_norm(torch.cat(gates, dim=1).clamp(max=PRESENT), ord=self.p, dim=1)
        squares = (seen.values - seen.clean).flatten(1).square().sum(dim=1)
        return power - self.distance * squares.new_zeros(len(power)).index_add(0, seen.owner, squares)


OBJECTIVES: Mapping[str, Callable[[], Objective]] = {
    "cross_entropy": CrossEntropy,
    "margin": Margin,
    "dlr": DLR,
    "lovasz": Lovasz,
    "compute": Compute,
    "compute-kept": partial(Compute, kept=1.0),
    "underload": partial(Compute, sign=-1),
    "deepsloth": DeepSloth,
    "gradmdm": GradMDM,
    "gradmdm-l2": partial(GradMDM, distance=100 / 1.5e5 / 0.225**2),
    "exits": ExitCrossEntropy,
    "last-exit": partial(ExitCrossEntropy, -1),
}


def objective_named(name: str) -> Objective:
    """Return the objective of a name, with its default options.

    Raises:
        UnknownNameError: There is no such objective.
    """
    if name not in OBJECTIVES:
        raise UnknownNameError("loss", name, OBJECTIVES)
    return OBJECTIVES[name]()


def exit_outputs(seen: Pass) -> Tensor:
    """Return the outputs of all exits, (B, K, C).

    Raises:
        ConfigError: There are no exits, or the gate does not get their outputs.
    """
    outputs = [call.outputs for call in seen.decisions if call.outputs is not None]
    if len(outputs) != 1:
        raise ConfigError(
            f"this loss is for a network with one Exit gate that gets the outputs of the exits; found {len(outputs)}"
        )
    return outputs[0]


def lead_over(logits: Tensor, aim: Tensor, others: Tensor) -> Tensor:
    """Return how far the logits of the classes `aim` (B,) are above those of `others` (B,), (B,)."""
    return (logits.gather(1, aim[:, None]) - logits.gather(1, others[:, None])).squeeze(1)


def _dlr(logits: Tensor, classes: Tensor) -> Tensor:
    lead = -margin(logits, classes)
    if logits.shape[1] < 3:
        return lead
    ordered = logits.sort(dim=1, descending=True).values
    return lead / (ordered[:, 0] - ordered[:, 2] + TINY)
