"""What a network computes for each sample: multiply-adds of each decision, counted from the modules that it controls.

A network says which modules a gate controls in a method `controls()`, of any of its modules, that returns a `Controls`.
The forward passes of this package compute everything and multiply by occupancies. The figures here are those of a
deployed network, which skips what is off.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lgm_bench.errors import ConfigError
from lgm_bench.leaded.gates import Gate
from lgm_bench.leaded.gradient import FGM
from lgm_bench.leaded.recording import Call, recorded_calls

Modules = Sequence[str]
OPERATIONS = 2
"""A multiply-add is two floating point operations, which is what PyTorch counts."""


class Tokens(NamedTuple):
    """What runs for the tokens that a gate keeps, where attention is among them.

    Attributes:
        each: Names of the modules whose cost is proportional to the number of tokens.
        pairs: Names of the modules whose cost is proportional to its square: the two products of attention.
        beside: Number of further tokens in these modules that no gate decides about, such as the class token.
    """

    each: Modules
    pairs: Modules = ()
    beside: int = 0


class Controls(NamedTuple):
    """What gates control, by names that are relative to the module which says so; its own name is empty.

    Attributes:
        gates: By name of the gate, the modules that run where a decision is on. All decisions of a use of the gate have
            the same share in them (positions, channels). Or a list of such modules: of early exits for each later
            stage, of experts for each expert, of a gate that is used once a step for each use. Or `Tokens`.
        twice: Modules that the forward pass runs once more than a deployed network, which needs them either way.
    """

    gates: Mapping[str, Modules | Sequence[Modules] | Tokens]
    twice: Modules = ()


class Costs(NamedTuple):
    """Multiply-adds of one sample.

    Attributes:
        fixed: Of what no gate controls.
        full: With every decision on.
        decisions: By name of a gate's call (see `Call.name`), what each of its decisions costs; float64, of a shape
            that goes with the decisions (B, ...) of that call.
        pairs: By name of a gate's call, what each ordered pair of its decisions costs on top where both are on, a
            decision with itself included; only of attention.
    """

    fixed: float
    full: float
    decisions: Mapping[str, Tensor]
    pairs: Mapping[str, float] = {}

    def of(self, executed: Mapping[str, Tensor]) -> Tensor:
        """Return the multiply-adds of each sample, (B,) float64.

        Args:
            executed: By name of the call, how far what each decision controls is executed, (B, ...): the hard network's
                decisions, or `Call.executed` of any pass, whose gradient is kept. What a call that is missing controls
                does not count, nor does a call that nothing is known of.
        """
        known = {name: on for name, on in executed.items() if name in self.decisions}
        if not known:
            raise ConfigError(f"none of {sorted(executed)} has a cost; expected some of {sorted(self.decisions)}")
        return self.fixed + torch.stack([self.of_call(name, on) for name, on in known.items()]).sum(dim=0)

    def of_call(self, name: str, on: Tensor) -> Tensor:
        """Return the multiply-adds of what one call controls, (B,) float64; see `of`."""
        on = on.double()
        cost = (on * self.decisions[name].to(on.device)).reshape(len(on), -1).sum(dim=1)
        if name in self.pairs:
            cost = cost + self.pairs[name] * on.reshape(len(on), -1).sum(dim=1).square()
        return cost


def decision_costs(network: nn.Module, sample: Any) -> Costs | None:
    """Count what each decision of a network costs; None where no module of it has `controls`.

    Args:
        network: In eval mode.
        sample: A batch of one, such as an image (1, 3, H, W). What another sample of this shape costs is the same.

    Raises:
        ConfigError: `controls` names something that is not there, or does not fit the gate's decisions.
    """
    controls = {name: part.controls() for name, part in network.named_modules() if hasattr(part, "controls")}
    if not controls:
        return None
    _check_names(network, controls)
    watched = {full: None for prefix, part in controls.items() for full in _named(prefix, _all_modules(part))}
    with (
        torch.no_grad(),
        FGM().applied_to(network),
        recorded_calls(network) as calls,
        _counted(network, list(watched)) as (counter, counts),
    ):
        network(sample)
    decisions: dict[str, Tensor] = {}
    pairs: dict[str, float] = {}
    total = counter.get_total_flops() / OPERATIONS
    for prefix, part in controls.items():
        total -= sum(counts[name].total() / len(counts[name]) for name in _named(prefix, part.twice))
        for gate, modules in part.gates.items():
            (name,) = _named(prefix, [gate])
            uses = [call for call in calls if call.name.partition("#")[0] == name]
            groups = [[counts[full] for full in _named(prefix, group)] for group in _groups(modules)]
            if isinstance(modules, Tokens) and uses:
                decisions[name], pairs[name] = _of_tokens(uses[0], groups, modules.beside)
            else:
                decisions |= _of_gate(name, uses, groups)
    costs = Costs(0.0, total, decisions, pairs)
    everything = {call.name: torch.ones_like(call.executed) for call in calls if call.name in decisions}
    return costs._replace(fixed=total - float(sum(costs.of_call(name, on) for name, on in everything.items())))


def _of_tokens(use: Call, groups: Sequence[Sequence[Counter[int]]], beside: int) -> tuple[Tensor, float]:
    """Return what each token of a gate costs, and what each pair of them does.

    With e tokens beside, n kept ones cost a (n + e) + b (n + e)^2 = fixed + (a + 2 b e) n + b n^2.
    """
    each, pairs = (float(sum(count.total() for count in group)) for group in groups)
    tokens = use.executed[0].numel() + beside
    pair = pairs / tokens**2
    return use.executed.new_tensor(each / tokens + 2 * pair * beside, dtype=torch.float64), pair


def _of_gate(name: str, uses: Sequence[Call], groups: Sequence[Sequence[Counter[int]]]) -> dict[str, Tensor]:
    """Return the costs of each decision of a gate, by the name of its calls.

    Raises:
        ConfigError: There are several groups of modules, and neither as many uses nor as many decisions.
    """
    if not uses:
        return {}
    totals = [sum(count.total() for count in group) for group in groups]
    costs = torch.tensor(totals, dtype=torch.float64, device=uses[0].executed.device)
    size = uses[0].executed[0].numel()
    if len(groups) == 1:
        return {call.name: costs[0] / (size * len(uses)) for call in uses}
    if len(uses) == len(groups):
        return {call.name: cost / size for call, cost in zip(uses, costs, strict=True)}
    if len(uses) == 1 and uses[0].executed.shape[-1] == len(groups):
        return {name: costs / (size / len(groups))}
    raise ConfigError(
        f"controls of {name!r} lists {len(groups)} groups of modules; expected one, or one for each of its {len(uses)} "
        f"uses, or one for each of its {uses[0].executed.shape[-1]} decisions"
    )


@contextmanager
def _counted(network: nn.Module, names: Sequence[str]) -> Iterator[tuple[FlopCounterMode, Mapping[str, Counter[int]]]]:
    """Count the operations in this block: all of them, and by name the multiply-adds of each call of some modules."""
    modules = dict(network.named_modules(remove_duplicate=False))
    counts: dict[str, Counter[int]] = {name: Counter() for name in names}
    with ExitStack() as stack:
        counter = stack.enter_context(FlopCounterMode(display=False))
        for name in names:
            begun: list[int] = []

            def begin(*_: Any, begun: list[int] = begun) -> None:
                begun.append(counter.get_total_flops())

            def end(*_: Any, begun: list[int] = begun, calls: Counter[int] = counts[name]) -> None:
                calls[len(calls)] += (counter.get_total_flops() - begun.pop()) // OPERATIONS

            for handle in (modules[name].register_forward_pre_hook(begin), modules[name].register_forward_hook(end)):
                stack.callback(handle.remove)
        yield counter, counts


def _check_names(network: nn.Module, controls: Mapping[str, Controls]) -> None:
    """Raise ConfigError if one of the names is no module, or no gate, of the network."""
    modules, kind = dict(network.named_modules(remove_duplicate=False)), type(network).__name__
    for prefix, part in controls.items():
        for name in _named(prefix, [*part.gates, *_all_modules(part)]):
            if name not in modules:
                raise ConfigError(f"controls names {name!r}, which is no module of this {kind}")
        for name in _named(prefix, list(part.gates)):
            if not isinstance(modules[name], Gate):
                raise ConfigError(f"controls names {name!r} as a gate, which is a {type(modules[name]).__name__}")


def _groups(modules: Modules | Sequence[Modules] | Tokens) -> list[Modules]:
    """Return the groups of modules; a single one if names are not grouped."""
    if isinstance(modules, Tokens):
        return [modules.each, modules.pairs]
    grouped = [group for group in modules if not isinstance(group, str)]
    return grouped or [[name for name in modules if isinstance(name, str)]]


def _all_modules(controls: Controls) -> list[str]:
    return [*controls.twice, *(name for part in controls.gates.values() for group in _groups(part) for name in group)]


def _named(prefix: str, names: Sequence[str]) -> list[str]:
    return [f"{prefix}.{name}" if prefix and name else prefix or name for name in names]
