"""Checks of the arguments of an attack."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lgm_bench.attacks.budgets import Budget
from lgm_bench.errors import ConfigError
from lgm_bench.tasks.adapter import Adapter
from lgm_bench.tasks.checks import usable

if TYPE_CHECKING:
    from lgm_bench.attacks.attack import Attack


def check_steps(budget: Budget, step: float, steps: int, fewest: int, seed: int) -> None:
    """Raise ConfigError if step, steps or seed make no sense."""
    if not (math.isfinite(step) and (step > 0 or (step == 0 and budget.eps == 0))):
        raise ConfigError(f"step must be a positive number{budget.unit}, got {step}")
    check_whole(fewest, steps=steps)
    check_whole(0, seed=seed)


def check_whole(least: int, **numbers: Any) -> None:
    """Raise ConfigError if one of the named numbers is not an int of at least `least`."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ConfigError(f"{name} must be a whole number of at least {least}, got {number!r}")


def check_victim(victim: nn.Module) -> None:
    """Raise ConfigError if the victim or its batch norm is in training mode, or inference mode forbids gradients."""
    if victim.training:
        raise ConfigError(
            f"{type(victim).__name__} is in training mode, where predictions depend on the batch; "
            "call victim.eval() before the attack"
        )
    for name, module in victim.named_modules():
        if module.training and isinstance(module, _BatchNorm):
            raise ConfigError(
                f"the batch norm {name!r} of {type(victim).__name__} is in training mode, where predictions depend on "
                "the batch; call victim.eval() before the attack"
            )
    if torch.is_inference_mode_enabled():
        raise ConfigError("an attack needs gradients, which inference mode forbids; use Trainer(inference_mode=False)")


def check_task(attack: "Attack", adapter: Adapter, victim: nn.Module, target: Tensor | None) -> None:
    """Raise ConfigError if the attack, its loss or a target does not suit the victim's task."""
    kind, task = type(victim).__name__, adapter.task
    if attack.inputs != task.inputs:
        raise ConfigError(
            f"{type(attack).__name__} attacks {attack.inputs}, but {kind} takes {task.inputs} (its task is "
            f"{task.name!r}); choose an attack on {task.inputs}, or another victim"
        )
    if attack.loss == "lovasz" and not task.labels_points:
        raise ConfigError(
            f"loss 'lovasz' is for segmentation, but the task of {kind} is {task.name}; choose another loss"
        )
    if target is not None and not adapter.can_target:
        raise ConfigError(f"the task of {kind} is {task.name}, where no class can be the target; leave target out")


def class_indices(name: str, classes: Any) -> Tensor:
    """Return class indices of any integer type as int64; the task's own check refuses other types.

    Raises:
        ConfigError: The classes are not a tensor.
    """
    if not isinstance(classes, Tensor):
        raise ConfigError(f"{name} must be a tensor of class indices, got {type(classes).__name__}")
    whole = not classes.is_floating_point() and not classes.is_complex() and classes.dtype != torch.bool
    classes = classes.detach().to(torch.int64) if whole else classes
    return usable(classes)


def count_samples(adapter: Adapter, inputs: Any, labels: Tensor) -> int:
    """Return the number of samples in inputs that have not been checked yet."""
    try:
        return int(adapter.owner(inputs)[-1]) + 1
    except (AttributeError, IndexError, TypeError):
        return len(labels)
