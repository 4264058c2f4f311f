"""What is said of registered names without importing them, against the classes and networks themselves."""

import pytest
import torch

from lgm_bench.attacks import ATTACKS
from lgm_bench.evaluation.cells.kinds import follows_gradient, inputs_of, is_static, softens
from lgm_bench.leaded import GRADIENTS, Unit
from lgm_bench.registry import resolve
from victims.names import VICTIMS, victim_names

SMALL = [name for name in victim_names() if name.endswith(("20-cifar10", "18-imagenet", "-mini"))]


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks(name: str) -> None:
    kind = resolve("attack", name, ATTACKS)
    assert kind.inputs == inputs_of(name).name == inputs_of(ATTACKS[name]).name
    assert kind.takes_gradient == follows_gradient(name) == follows_gradient(ATTACKS[name])


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str) -> None:
    assert resolve("gradient", name, GRADIENTS).softens == softens(name) == softens(GRADIENTS[name])


@pytest.mark.parametrize("name", SMALL)
def test_victims(name: str) -> None:
    with torch.device("meta"):
        victim = resolve("victim", name, VICTIMS)()
    assert is_static(name) == (not any(isinstance(module, Unit) for module in victim.modules()))
