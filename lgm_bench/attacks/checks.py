"""Checks of what users hand to an attack."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lgm_bench.attacks.budgets import Budget
from lgm_bench.errors import ConfigError
from lgm_bench.tasks.adapter import Adapter
from lgm_bench.tasks.checks import usable

if TYPE_CHECKING:
    from lgm_bench.attacks.attack import Attack


def check_numbers(budget: Budget, step: float, steps: int, fewest: int, seed: int) -> None:
    """Raise ConfigError where step, steps or seed make no sense."""
    if not (math.isfinite(step) and (step > 0 or (step == 0 and budget.eps == 0))):
        raise ConfigError(f"step must be a positive number{budget.unit}, got {step}")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < fewest:
        raise ConfigError(f"steps must be a whole number of at least {fewest}, got {steps!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"seed must be a whole number of at least 0, got {seed!r}")


def check_victim(victim: nn.Module) -> None:
    """Raise ConfigError where the victim is in training mode, or gradients are impossible here."""
    if victim.training:
        raise ConfigError(
            f"{type(victim).__name__} is in training mode, where predictions depend on the batch; "
            "call victim.eval() before the attack"
        )
    if torch.is_inference_mode_enabled():
        raise ConfigError("an attack needs gradients, which inference mode forbids; use Trainer(inference_mode=False)")


def check_task(attack: "Attack", adapter: Adapter, victim: nn.Module, target: Tensor | None) -> None:
    """Raise ConfigError where an attack, its loss or a target do not suit the victim's task."""
    kind, task = type(victim).__name__, adapter.task
    if attack.inputs != task.inputs:
        raise ConfigError(
            f"{type(attack).__name__} attacks {attack.inputs} and {kind} takes {task.inputs} (its task is "
            f"{task.name!r}); take an attack on {task.inputs}, or another victim"
        )
    if attack.loss == "lovasz" and not task.labels_points:
        raise ConfigError(f"loss 'lovasz' is of segmentation, {kind} does {task.name}")
    if target is not None and not adapter.can_target:
        raise ConfigError(f"{kind} does {task.name}, where no class can be the target; leave target out")


def whole_numbers(name: str, classes: Any) -> Tensor:
    """Return class indices of any integer type as int64; the task refuses other types later.

    Raises:
        ConfigError: They are not a tensor.
    """
    if not isinstance(classes, Tensor):
        raise ConfigError(f"{name} must be a tensor of class indices, got {type(classes).__name__}")
    whole = not classes.is_floating_point() and not classes.is_complex() and classes.dtype != torch.bool
    classes = classes.detach().to(torch.int64) if whole else classes
    return usable(classes)


def count_samples(adapter: Adapter, inputs: Any, labels: Tensor) -> int:
    """Return the number of samples of inputs that have not been checked yet."""
    try:
        return int(adapter.owner(inputs)[-1]) + 1
    except (AttributeError, IndexError, TypeError):
        return len(labels)
