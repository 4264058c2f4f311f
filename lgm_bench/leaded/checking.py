"""Checks of a network before it is attacked: its gates, what reaches them, their slopes and costs."""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.leaded.compute import Costs, decision_costs
from lgm_bench.leaded.gates import PRESENT
from lgm_bench.leaded.gradient import LGM, Unit
from lgm_bench.leaded.recording import Call, recorded_calls
from lgm_bench.leaded.slopes import ONE_STEP, automatic_slopes, rms

STEEP = 1e9
"""Slope at which a soft network should be the hard one; margins below 1e-8 aside."""
SAME = 1e-3
"""Largest difference of the two, relative to the largest output."""

NO_GATE = (
    "no gate was found, so every gradient method is the plain gradient; put an Occupancy or another gate where the "
    "network decides, or see lgm_bench.instrument"
)


@dataclass(frozen=True)
class UnitCheck:
    """What was found of one use of a gate.

    Attributes:
        name: Name of the call, see `recording.Call`.
        kind: Class of the gate.
        decisions: Number of decisions for one sample.
        on: Share of them that is on, over all samples.
        varies: Whether decisions differ between samples.
        used: Whether the network multiplies by the occupancies, see `Gate.used`.
        gradient_reaches: Whether the leaded gradient of the loss reaches the scores.
        score_depends: Whether the scores depend on the inputs through something differentiable.
        margin: Root mean square of the margins.
        slope: Automatic slope, for attacks of several steps.
        cost: Multiply-adds of all its decisions; None where none is known.
    """

    name: str
    kind: str
    decisions: int
    on: float
    varies: bool
    used: bool
    gradient_reaches: bool
    score_depends: bool
    margin: float
    slope: float
    cost: float | None


@dataclass(frozen=True)
class NetworkCheck:
    """What was found of a network; print it for a table.

    Attributes:
        network: Its class.
        units: One for each use of a gate, in call order.
        soft_limit: Largest difference between the hard network's output and that at a slope of 1e9, relative to the
            largest output.
        costs: See `compute.Costs`; None where no cost is known.
        problems: What is wrong, a sentence each.
        notes: What is worth knowing and not wrong.
    """

    network: str
    units: tuple[UnitCheck, ...]
    soft_limit: float
    costs: Costs | None
    problems: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        titles = ("unit", "gate", "decisions", "on", "varies", "gradient", "margin", "slope auto", "multiply-adds")
        rows = [titles, *(_line(unit) for unit in self.units)] if self.units else []
        widths = [max(len(row[column]) for row in rows) for column in range(len(titles))] if rows else []
        table = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        problems = [f"problem: {problem}" for problem in self.problems] or ["no problem found"]
        return "\n".join([f"{self.network}: {len(self.units)} units", *table, *self.notes, *problems])


def check(network: nn.Module, images: Tensor, labels: Tensor | None = None) -> NetworkCheck:
    """Check whether the leaded gradient can work on a network, on some clean images.

    Args:
        network: In eval mode: any module with gates, images (B, C, H, W) in [0, 1] to logits (B, classes).
        images: At least two, so that it shows whether decisions depend on them.
        labels: (B,) int64; None: the network's predictions.

    Raises:
        ConfigError: The network is in training mode, has other units than gates, or gives no logits.
    """
    name = type(network).__name__
    if network.training:
        raise ConfigError(f"{name} is in training mode, in which its decisions may be random; call .eval() first")
    if not any(isinstance(module, Unit) for module in network.modules()):
        return NetworkCheck(name, (), 0.0, None, (NO_GATE,))
    with torch.no_grad(), recorded_calls(network) as hard:
        logits = network(images)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise ConfigError(f"{name} gave no logits of shape ({len(images)}, classes), so it cannot be checked")
    slopes, costs = automatic_slopes(network, images), decision_costs(network, images[:1])
    with torch.no_grad(), LGM(STEEP).applied_to(network):
        difference = (network(images) - logits).abs().max() / logits.abs().max().clamp(min=1e-12)
    reaching, depending = _reached(network, images, logits.argmax(dim=1) if labels is None else labels)
    units = tuple(_unit(call, slopes, costs, call.name in reaching, call.name in depending) for call in hard)
    problems = _problems(units, difference.item(), costs, len(images))
    return NetworkCheck(name, units, difference.item(), costs, tuple(problems), tuple(_notes(units, costs)))


@torch.enable_grad()
def _reached(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[set[str], set[str]]:
    """Return the calls whose scores the leaded gradient of the loss reaches, and those that depend on the images.

    Slopes are the gentle ones of a single step: with steep ones a gradient may vanish that is there in principle.
    """
    slopes = automatic_slopes(network, images, ONE_STEP)
    with LGM(slopes or 1.0).applied_to(network), recorded_calls(network) as calls:
        moved = images.detach().clone().requires_grad_()
        loss = F.cross_entropy(network(moved), labels, reduction="sum")
    attached = [call for call in calls if call.score.requires_grad]
    if not attached or not loss.requires_grad:
        return set(), set()
    gradients = torch.autograd.grad(loss, [call.score for call in attached], allow_unused=True, retain_graph=True)
    reaching = {call.name for call, of_score in zip(attached, gradients, strict=True) if _is_there(of_score)}
    depending = set()
    for call in attached:
        (of_images,) = torch.autograd.grad(_finite_sum(call.score), moved, allow_unused=True, retain_graph=True)
        if _is_there(of_images):
            depending.add(call.name)
    return reaching, depending


def _is_there(gradient: Tensor | None) -> bool:
    return gradient is not None and bool((gradient != 0).any())


def _finite_sum(score: Tensor) -> Any:
    return score.masked_fill(~score.isfinite(), 0).sum()


def _unit(call: Call, slopes: dict[str, float], costs: Costs | None, reaches: bool, depends: bool) -> UnitCheck:
    on = call.executed > PRESENT
    known = costs is not None and call.name in costs.decisions
    return UnitCheck(
        name=call.name,
        kind=type(call.unit).__name__,
        decisions=on[0].numel(),
        on=on.float().mean().item(),
        varies=bool((on != on[:1]).any()),
        used=call.unit.used,
        gradient_reaches=reaches,
        score_depends=depends,
        margin=rms([call.margin]),
        slope=slopes[call.name.partition("#")[0]],
        cost=float(costs.of_call(call.name, torch.ones_like(on[:1]))) if costs is not None and known else None,
    )


def _problems(units: tuple[UnitCheck, ...], difference: float, costs: Costs | None, n_images: int) -> list[str]:
    found = []
    cut_off = [unit.name for unit in units if not unit.score_depends]
    unreached = [unit.name for unit in units if unit.used and unit.score_depends and not unit.gradient_reaches]
    if not units:
        found.append("no gate was used in the forward pass, so every gradient method is the plain gradient")
    if cut_off:
        found.append(f"the scores of {_some(cut_off)} do not depend on the images through anything differentiable")
    if unreached:
        found.append(
            f"the gradient does not reach the scores of {_some(unreached)}: multiply what they switch by the "
            "occupancy, and do not branch on it"
        )
    if difference > SAME:
        found.append(
            f"with a slope of {STEEP:g} the soft network's output differs from the hard one's by {difference:.1%}: "
            "some occupancy is not used as a factor on both sides of its choice, or scores tie"
        )
    if units and n_images > 1 and not any(unit.varies for unit in units):
        found.append("no decision depends on the images, at least not on these")
    if costs is not None and costs.fixed < 0:
        found.append("the modules that gates control cost more than the network: some are listed twice in controls()")
    return found


def _notes(units: tuple[UnitCheck, ...], costs: Costs | None) -> list[str]:
    constant = [unit.name for unit in units if not unit.varies]
    notes = [f"the same for all of these images: {_some(constant)}"] if constant and len(constant) < len(units) else []
    if costs is None:
        return [*notes, "costs are unknown: no module has controls(), see lgm_bench.leaded.compute"]
    share = 1 - costs.fixed / costs.full
    return [*notes, f"{costs.full / 1e6:.2f} million multiply-adds with everything on, {share:.1%} of it behind gates"]


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _line(unit: UnitCheck) -> tuple[str, ...]:
    cost = "" if unit.cost is None else f"{unit.cost:,.0f}"
    reaches = "reaches" if unit.gradient_reaches else "none" if unit.used else "not used"
    varies = "yes" if unit.varies else "no"
    numbers = (f"{unit.decisions}", f"{unit.on:.0%}", varies, reaches, f"{unit.margin:.3g}", f"{unit.slope:.3g}")
    return unit.name, unit.kind, *numbers, cost
