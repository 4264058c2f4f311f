from typing import Any

import pytest
from hand_made import cell, result

from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.results.caveats import caveat_notes, caveats, caveats_across
from lgm_bench.results.frame import frame_of, lines_of
from lgm_bench.results.reading import Line


def lines(results: list[CellResult]) -> list[Line]:
    return lines_of(frame_of(results))


def checked(**changes: Any) -> CellResult:
    good = result(cell(gradient="lgm", slope=5.0))
    return good.model_copy(update={"checks": good.checks.model_copy(update=changes)})


SUSPICIOUS = {
    "gradients": ({"deterministic": False}, "a second pass over the same input gave other gradients"),
    "batch": ({"batch_invariance": 0.01}, "depend on the batch (by 1.0e-02"),
    "bounds": ({"within_bounds": False}, "are out of bounds"),
    "zero": ({"zero_gradient_share": 0.75}, "75% of the input gradient is exactly 0"),
    "saturated": ({"saturated_occupancies": 0.95}, "95% of the occupancies have no derivative at slope 5"),
    "constant": ({"units": 6, "constant_units": 6}, "each of the 6 adaptive units decides the same"),
    "weaker": ({"loss_of_the_steps": 2.0, "loss_of_twice_the_steps": 1.5}, "loss 1.50 instead of 2.00"),
    "large": (
        {"masking_samples": 8, "large_eps": 127.5, "accuracy_at_large_eps": 0.25},
        "at eps 127.5, 25% of 8 samples are still right",
    ),
}


@pytest.mark.parametrize("what", SUSPICIOUS)
def test_each_suspicion_is_a_phrase(what: str) -> None:
    changes, phrase = SUSPICIOUS[what]
    (found,) = caveats(checked(**changes))
    assert phrase in found


def test_what_is_as_it_should_be_is_not_remarked_on() -> None:
    fine = {"units": 6, "constant_units": 5, "saturated_occupancies": 0.5, "batch_invariance": 1e-6}
    fine |= {"loss_of_the_steps": 2.0, "loss_of_twice_the_steps": 1.99, "large_eps": 127.5, "masking_samples": 8}
    assert caveats(checked(**fine, accuracy_at_large_eps=0.0, zero_gradient_share=0.1)) == []
    assert caveats(result(precision="float64")) == []
    (found,) = caveats(result(precision="bfloat16-mixed"))
    assert "computed in bfloat16-mixed" in found


def test_data_that_the_weights_were_not_trained_for_are_remarked_on() -> None:
    plain = result(cell())
    data = plain.cell.data.name
    assert caveats(plain.model_copy(update={"trained_on": data})) == []
    (found,) = caveats(plain.model_copy(update={"trained_on": "rooms-scannet"}))
    assert found == f"the weights were trained on rooms-scannet, not on {data}"


def test_a_larger_eps_that_leaves_more_is_remarked_on() -> None:
    bim = [result(cell(attack="bim", eps=eps), accuracy=left) for eps, left in ((4.0, 0.5), (1.0, 0.3), (2.0, 0.305))]
    assert caveats_across(lines(bim)) == [
        "dynconv8-cifar10 bim FGM leaves more at eps 4 (8/255) (50.0%) than at 2 (4/255) (30.5%)"
    ]
    assert caveats_across(lines([result(cell(eps=eps), accuracy=eps / 10) for eps in (1.0, 2.0)])) == []  # one step
    apart = [result(cell(attack="bim", eps=eps, seed=int(eps)), accuracy=eps / 10) for eps in (1.0, 2.0)]
    assert caveats_across(lines(apart)) == []


def test_cells_with_the_same_caveat_share_a_note() -> None:
    same = [result(cell(eps=eps), n_attacked=0) for eps in (1.0, 2.0, 4.0, 8.0)]
    (note,) = caveat_notes(lines([*same, result()]))
    assert note == (
        "Note: no sample was attacked (dynconv8-cifar10 fgsm eps 1 (2/255) FGM, "
        "dynconv8-cifar10 fgsm eps 2 (4/255) FGM, dynconv8-cifar10 fgsm eps 4 (8/255) FGM, and 1 more)."
    )
