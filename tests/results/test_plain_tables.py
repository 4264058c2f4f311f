"""Results of no table of the paper: a table a data set, also where images, scenes and shapes are mixed."""

from typing import Any

import hand_made
from hand_made import cell, result, shapes

from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.results.formats import to_markdown
from lgm_bench.results.frame import frame_of
from lgm_bench.results.tables import CLEAN, Column, Table, build_tables

SCENES = {"victim": "minkunet14-scannet", "data": "rooms-scannet", "attack": "pointbim", "eps": 0.01}
SHAPES = {"victim": "minknet-small-modelnet40", "data": "modelnet40", "attack": "pointbim", "eps": 0.05}


def scenes(miou: float, **changes: Any) -> CellResult:
    return hand_made.scenes(cell(**SCENES | changes), miou, clean_miou=0.75)


def mixed() -> dict[str, Table]:
    results = [
        result(),
        scenes(0.5, attack="random"),
        scenes(0.25),
        scenes(0.125, gradient="lgm", slope=10.0),
        shapes(cell(**SHAPES, gradient="lgm", slope=40.0), change=None),
        result(cell(eps=2.0, gradient="lgm", slope=0.5)),
        shapes(cell(**SHAPES | {"attack": "random", "eps": 0.1}), change=None),
    ]
    return {table.name: table for table in build_tables(frame_of(results))}


def test_every_data_set_has_a_table_that_names_it() -> None:
    tables = mixed()
    assert {name: table.title for name, table in tables.items()} == {
        "results-cifar10": "cifar10: Accuracy before and after attacks",
        "results-rooms-scannet": "rooms-scannet: mIoU before and after attacks; eps in metres",
        "results-modelnet40": "modelnet40: Accuracy before and after attacks; eps in radii of the unit sphere",
    }
    headers = {name: {column.header for column in table.columns} for name, table in tables.items()}
    assert headers["results-rooms-scannet"] == {"mIoU", "Arch. chg."}
    assert headers["results-modelnet40"] == {"Acc."}
    assert tables["results-cifar10"].rows == [CLEAN, "fgsm eps=1 (2/255)", "fgsm eps=2 (4/255)"]
    assert any("100 cifar10 test images" in note for note in tables["results-cifar10"].notes)
    assert any("100 rooms-scannet test point clouds" in note for note in tables["results-rooms-scannet"].notes)


def test_random_moves_stand_beside_the_attacks_of_their_eps() -> None:
    table = mixed()["results-rooms-scannet"]
    assert table.rows == [CLEAN, "pointbim eps=0.01"]
    numbers = [str(table.entry("pointbim eps=0.01", Column("minkunet14-scannet", v, "mIoU"))) for v in ORDER]
    assert numbers == ["50.00", "25.00", "12.50"]
    assert [column.variant for column in table.columns if column.header == "mIoU"] == ORDER
    assert "minkunet14-scannet<br>random mIoU" in to_markdown(table)


ORDER = ["random", "fgm", "lgm"]


def test_random_moves_alone_have_a_row_of_their_own() -> None:
    table = mixed()["results-modelnet40"]
    assert table.rows == [CLEAN, "pointbim eps=0.05", "random eps=0.1"]
    column = Column("minknet-small-modelnet40", "random", "Acc.")
    assert table.entry("pointbim eps=0.05", column) is None
    assert str(table.entry("random eps=0.1", column)) == "25.00"


def test_rows_go_by_attack_then_eps_in_whatever_order_they_were_finished() -> None:
    cells = [cell(eps=4.0), cell(attack="bim", eps=8.0), cell(eps=1.0), cell(attack="bim", eps=2.0), cell(eps=2.0)]
    (table,) = build_tables(frame_of(result(one) for one in cells))
    assert table.rows == [
        CLEAN,
        *(f"fgsm eps={n} ({2 * n}/255)" for n in (1, 2, 4)),
        "bim eps=2 (4/255)",
        "bim eps=8 (16/255)",
    ]
