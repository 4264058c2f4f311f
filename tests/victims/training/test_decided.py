"""What is decided over the held-out images, counted by hand."""

import pytest
import torch

from victims.training.decided import Decided


def test_shares_over_two_batches_by_hand() -> None:
    """100 images: a gate that opens for 4, one that opens for 5, and a mask that is open in its first position only."""
    number = torch.arange(100)
    decisions = {
        "rare": number < 4,
        "often": number < 5,
        "mask": torch.tensor([True, False]).expand(100, 1, 1, 2),
    }
    decided = Decided()
    for half in (slice(0, 50), slice(50, 100)):
        decided.add({name: on[half] for name, on in decisions.items()})
    figures = decided.figures()
    assert figures["executed_by_unit"] == [0.04, 0.05, 0.5]
    assert figures["decided_by_image_by_unit"] == [0.0, 1.0, 0.0]
    assert figures["adaptive_units"] == 1
    assert figures["executed_units"] == pytest.approx((0.04 + 0.05 + 0.5) / 3)
    assert figures["decided_by_image"] == pytest.approx(1 / 3)


def test_always_and_never_are_treated_alike() -> None:
    on = torch.zeros(100, 4, dtype=torch.bool)
    on[:95, 0] = on[:96, 1] = on[:5, 2] = on[:4, 3] = True
    decided = Decided()
    decided.add({"channels": on})
    assert decided.figures()["decided_by_image_by_unit"] == [0.5]


def test_a_unit_is_adaptive_if_a_tenth_of_its_decisions_is() -> None:
    on = torch.zeros(100, 20, dtype=torch.bool)
    on[:50, :2] = True
    for decisions, units in ((on, 1), (on[:, 1:], 0)):
        decided = Decided()
        decided.add({"channels": decisions})
        assert decided.figures()["adaptive_units"] == units


def test_a_network_without_gates() -> None:
    assert Decided().figures() == {}
