import pytest
from hand_made import ONE, altered, result

from lgm_bench.evaluation.cells.cell import VictimSpec
from lgm_bench.evaluation.store.record import CellResult

OWN = altered(ONE, victim="my.networks:Net", kwargs={"widths": [8, 16], "depth": 3})


def test_what_is_left_out_is_all_that_may_differ() -> None:
    other = altered(ONE, eps=2.0, step=0.5, gradient="lgm", slope=3.0, paper=("table_1", "eps=2", "x", "lgm"))
    assert ONE.without("attack.eps", "attack.step", "gradient", "paper") == other.without(
        "attack.eps", "attack.step", "gradient", "paper"
    )
    assert ONE.without("attack.eps", "gradient", "paper") != other.without("attack.eps", "gradient", "paper")


def test_a_part_is_replaced_value_by_value() -> None:
    cell = ONE.replace(attack={"eps": 2.0}, protocol="standard")
    assert (cell.attack.name, cell.attack.eps, cell.protocol) == ("fgsm", 2.0, "standard")
    assert ONE.attack.eps == 1.0


@pytest.mark.parametrize(
    "changes", [{"limit": 5}, {"mean": (0.5, 0.5, 0.5)}, {"slope": 2.0}, {"eps": 2.0}, {"kwargs": {"depth": 3}}]
)
def test_every_part_is_in_the_fingerprint(changes: dict[str, object]) -> None:
    assert altered(ONE, **changes).fingerprint() != ONE.fingerprint()


@pytest.mark.parametrize("changes", [{"checkpoint": "/elsewhere"}, {"history": True}, {"paper": ("table_1",)}])
def test_what_changes_no_number_is_not_in_the_fingerprint(changes: dict[str, object]) -> None:
    assert altered(ONE, **changes).fingerprint() == ONE.fingerprint()


def test_arguments_of_a_victim_are_the_same_in_any_order_and_in_a_record() -> None:
    assert OWN.victim == VictimSpec("my.networks:Net", kwargs=(("depth", 3), ("widths", (8, 16))))
    assert CellResult.model_validate_json(result(OWN).model_dump_json()).cell == OWN
    assert len({OWN, altered(OWN, kwargs={"depth": 4})}) == 2


def test_a_flat_cell_has_every_value_once() -> None:
    flat = OWN.flat()
    assert (flat["victim"], flat["eps"], flat["kwargs"]) == ("my.networks:Net", 1.0, "depth=3, widths=(8, 16)")
    assert flat["gradient"] == "fgm"
