"""Gates put into a network from outside, without editing its source."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.leaded.compute import Controls
from lgm_bench.leaded.gates import Gate, Occupancy

Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Gated:
    """How a module is put behind a gate.

    Attributes:
        score: Scores (B, ...) from the module's first input, such as a module of yours; its dimensions are the leading
            ones of the module's output.
        gate: Decides; each module gets a copy.
        off: What takes the place of the module's output where the gate is off: "zero", of a branch beside a shortcut,
            or "input", of a block that has its shortcut inside.
    """

    score: Score
    gate: Gate = field(default_factory=Occupancy)
    off: Literal["zero", "input"] = "zero"


def instrument(network: nn.Module, gates: Mapping[str, Gated | Score]) -> nn.Module:
    """Return a copy of a network in which some modules run only where a gate lets them.

    The output of such a module becomes occupancy * output, or occupancy * output + (1 - occupancy) * input. Its gate is
    called `NAME.lgm_gate`, and compute is counted for it. The keys of the network's state dict stay as they are; a
    score that is a module adds its own, as `NAME.lgm_score`.

    Args:
        network: Such as a vision transformer of timm, or a ResNet of torchvision.
        gates: By pattern of the modules' names, such as "blocks.*.attn", how they are put behind a gate; a score alone
            stands for `Gated(score)`.

    Raises:
        ConfigError: A pattern fits no module, or a module fits several.

    >>> import torch
    >>> from torch import nn
    >>> block = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> bright = instrument(block, {"0": lambda x: x.mean(dim=1) - 0.5})
    >>> bool((bright(torch.zeros(1, 2)) == 0).all())
    True
    """
    found = copy.deepcopy(network)
    names = [name for name, _ in found.named_modules() if name]
    taken: set[str] = set()
    for pattern, wanted in gates.items():
        fitting = [name for name in names if fnmatchcase(name, pattern) and name.count(".") == pattern.count(".")]
        if not fitting or taken & set(fitting):
            what = (
                f"fits {sorted(taken & set(fitting))[0]!r}, which has a gate already" if fitting else "fits no module"
            )
            raise ConfigError(
                f"pattern {pattern!r} {what} of this {type(network).__name__}; it has {', '.join(names[:8])}"
            )
        taken |= set(fitting)
        for name in fitting:
            _put_behind(found.get_submodule(name), wanted if isinstance(wanted, Gated) else Gated(wanted))
    return found


def _put_behind(module: nn.Module, gated: Gated) -> None:
    module.add_module("lgm_gate", copy.deepcopy(gated.gate))
    score = copy.deepcopy(gated.score)
    if isinstance(score, nn.Module):
        module.add_module("lgm_score", score)
    hooks = _Hooks(None if isinstance(score, nn.Module) else score, gated.off)
    module.register_forward_pre_hook(hooks.before)
    module.register_forward_hook(hooks.after)
    module.__dict__["controls"] = _own_controls


def _own_controls() -> Controls:
    """Return that a gate controls the whole module that it is in."""
    return Controls({"lgm_gate": [""]})


class _Hooks:
    """Both hooks of a module: the score is taken before it runs, so that its cost is not the module's.

    They hold no reference to modules, so that copies of the network use their own.
    """

    def __init__(self, score: Score | None, off: str) -> None:
        self.score, self.off = score, off

    def before(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        score: Score = self.score or module.get_submodule("lgm_score")
        module.__dict__["_occupancy"] = module.get_submodule("lgm_gate")(score(arguments[0]))

    def after(self, module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        occupancy: Tensor = module.__dict__.pop("_occupancy")
        if occupancy.shape != output.shape[: occupancy.ndim]:
            broadcast = all(o in (1, n) for o, n in zip(occupancy.shape, output.shape, strict=False))
            if not broadcast:
                raise ConfigError(
                    f"occupancies {tuple(occupancy.shape)} do not go with an output {tuple(output.shape)}; a score has "
                    "the leading dimensions of the output, or 1 in their place"
                )
        occupancy = occupancy.view(*occupancy.shape, *[1] * (output.ndim - occupancy.ndim))
        return occupancy * output if self.off == "zero" else occupancy * output + (1 - occupancy) * arguments[0]
