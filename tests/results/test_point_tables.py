"""Tables of point clouds: mIoU and classes, slopes, relations, attacks by eps, costs; the paper's numbers beside."""

from typing import Any

import hand_made
import pytest
from hand_made import cell, flat_cell

from datamodules.s3dis import S3DISDataModule
from datamodules.scannet import ScanNetDataModule
from datamodules.semantickitti import SemanticKITTIDataModule
from lgm_bench.evaluation.cells.paper import paper_tables, place_in
from lgm_bench.evaluation.store.record import CellResult
from lgm_bench.evaluation.wording import describe, numbers
from lgm_bench.results.formats import to_latex, to_markdown
from lgm_bench.results.frame import frame_of
from lgm_bench.results.tables import CLEAN, Column, Table, build_tables

VICTIM = "minkunet34c-scannet"
SMALL = "minkunet14-scannet"
CLASSES = ("wall", "floor", "chair")


def scenes(table: str, miou: float = 0.2, victim: str = VICTIM, paper: str | None = None, **changes: Any) -> CellResult:
    """A result of scenes at its place in one of the paper's tables."""
    given = {"victim": victim, "data": "scannet", "attack": "pointbim", "eps": 0.01, **changes}
    of = cell(**given)
    of = cell(**given, paper=place_in(table, of, paper))
    cost = {} if changes.get("attack") == "random" else {"kvoxels": 117.5, "gflops": 345.25}
    ious = {"iou": (0.5, 0.25, None), "clean_iou": (0.75, 0.5, None)}
    return hand_made.scenes(of, miou, names=CLASSES, n_samples=4, **ious, **cost)


def only(*results: CellResult) -> Table:
    (table,) = build_tables(frame_of(results))
    return table


def lgm(**more: Any) -> dict[str, Any]:
    return {"gradient": "lgm", "slope": 10.0, **more}


def test_table_4_shows_what_the_paper_prints_there() -> None:
    table = only(scenes("table_4"), scenes("table_4", 0.1, **lgm()), scenes("table_4", 0.5, attack="random"))
    assert table.rows == [CLEAN, "eps=0.01"]
    assert [(column.variant, column.header) for column in table.columns] == [
        (variant, "mIoU") for variant in ("random", "fgm", "lgm")
    ]
    assert str(table.entry("eps=0.01", Column(VICTIM, "lgm", "mIoU"))) == "10.00 (10.87)"
    assert str(table.entry("eps=0.01", Column(VICTIM, "fgm", "mIoU"))) == "20.00 (55.51)"
    assert str(table.entry("eps=0.01", Column(VICTIM, "random", "mIoU"))) == "50.00"
    assert str(table.entry(CLEAN, Column(VICTIM, "fgm", "mIoU"))) == "60.00 (72.22)"
    assert "Measured on 4 scannet test point clouds." in table.notes


def test_a_small_victim_stands_beside_the_published_ones_numbers_and_that_is_said() -> None:
    table = only(scenes("table_4", victim=SMALL, paper=VICTIM))
    assert str(table.entry("eps=0.01", Column(SMALL, "fgm", "mIoU"))) == "20.00 (55.51)"
    assert table.notes[0] == f"In percent; in brackets the paper's numbers for {VICTIM}."


def test_table_5_has_a_column_a_relation() -> None:
    rows = [scenes("table_5", miou, **lgm(relation=name)) for name, miou in (("rbf", 0.3), ("sigmoid", 0.1))]
    table = only(*rows)
    assert (table.corner, table.rows) == ("eps", [CLEAN, "eps=0.01"])
    assert str(table.entry("eps=0.01", Column(VICTIM, "rbf", "mIoU"))) == "30.00 (16.62)"
    assert str(table.entry("eps=0.01", Column(VICTIM, "sigmoid", "mIoU"))) == "10.00 (11.51)"


@pytest.mark.parametrize(("gradient", "paper"), [({}, (110.05, 217.11)), (lgm(), (354.81, 782.17))], ids=["fgm", "lgm"])
def test_table_6_shows_what_an_iteration_costs(gradient: dict[str, Any], paper: tuple[float, float]) -> None:
    table = only(scenes("table_6", **gradient))
    variant = gradient.get("gradient", "fgm")
    assert table.rows == ["eps=0.01"], "clean clouds cost no attack"
    assert [column.header for column in table.columns] == ["kVoxels", "GFLOPs"]
    shown = [str(table.entry("eps=0.01", Column(VICTIM, variant, header))) for header in ("kVoxels", "GFLOPs")]
    assert shown == [f"117.50 ({paper[0]:.2f})", f"345.25 ({paper[1]:.2f})"]
    assert table.notes[0].startswith("In thousands of voxels and in GFLOPs; in brackets")


def test_table_7_has_a_row_a_slope_and_a_column_an_eps() -> None:
    cells = [
        scenes("table_7", eps / slope, eps=eps, **lgm(slope=slope)) for slope in (20.0, 5.0) for eps in (0.02, 0.01)
    ]
    table = only(*cells)
    assert (table.corner, table.rows) == ("slope", [CLEAN, "slope=5", "slope=20"])
    assert not any(note.startswith("Slope for") for note in table.notes), "it would repeat the rows"
    assert str(table.entry("slope=5", Column(VICTIM, "eps=0.01", "mIoU"))) == "0.20 (17.07)"
    assert str(table.entry("slope=20", Column(VICTIM, "eps=0.02", "mIoU"))) == "0.10 (6.67)"
    with_fgm = only(*cells, scenes("table_7"))
    assert with_fgm.rows == [CLEAN, "slope=5", "slope=20", "FGM"]


def test_tables_8_to_10_have_a_row_a_class() -> None:
    table = only(scenes("table_8"), scenes("table_8", **lgm()))
    assert table.corner == "class"
    assert table.rows[:3] == ["mean", "wall", "floor"]
    paper = paper_tables()["table_8"]
    assert str(table.entry("mean", Column(VICTIM, "fgm", "IoU"))) == "20.00 (55.51)"
    wall = paper.number("wall", VICTIM, "lgm", "iou")
    assert str(table.entry("wall", Column(VICTIM, "lgm", "IoU"))) == f"50.00 ({wall:.2f})"
    assert str(table.entry("floor", Column(VICTIM, CLEAN, "IoU"))).startswith("50.00 (")
    assert [column.variant for column in table.columns] == [CLEAN, "fgm", "lgm"]
    assert all(table.entry("chair", column) is None for column in table.columns), "it has no IoU"
    assert "| wall |" in to_markdown(table)


def test_the_rows_of_every_class_table_are_classes_of_its_data_set() -> None:
    for name, data in (("8", ScanNetDataModule), ("9", S3DISDataModule), ("10", SemanticKITTIDataModule)):
        measured = {c for k, c in enumerate(data.class_names) if k not in data.ignored_classes}
        rows = paper_tables()[f"table_{name}"].rows
        assert set(rows) == {"mean", *measured}
        assert len(rows) == len(set(rows))


def test_table_11_has_a_column_an_attack_and_gradient() -> None:
    given = {"victim": "minknet-modelnet40", "data": "modelnet40", "eps": 0.05}
    kinds = [
        ("random", "none", None),
        ("knnpert", "lgm", 40.0),
        ("pointbim", "lgm", 40.0),
        ("knnpert", "fgm", None),
    ]
    results = []
    for attack, gradient, slope in kinds:
        of = cell(**given, attack=attack, gradient=gradient, slope=slope)
        of = cell(**given, attack=attack, gradient=gradient, slope=slope, paper=place_in("table_11", of))
        results.append(hand_made.shapes(of, accuracy=0.5, kvoxels=1.0, gflops=2.0))
    table = only(*results)
    assert (table.corner, table.rows) == ("eps", [CLEAN, "eps=0.05"])
    victim = "minknet-modelnet40"
    assert str(table.entry("eps=0.05", Column(victim, "random", "Acc."))) == "50.00 (79.09)"
    assert str(table.entry("eps=0.05", Column(victim, "knnpert-fgm", "Acc."))) == "50.00 (59.32)"
    assert str(table.entry("eps=0.05", Column(victim, "knnpert-lgm", "Acc."))) == "50.00 (48.50)"
    assert str(table.entry(CLEAN, Column(victim, "random", "Acc."))) == "80.00 (92.38)"
    assert "<br>knnpert, LGM Acc. |" in to_markdown(table)
    assert table.notes[-1] == f"Slope for {victim}: 40."


def test_results_of_no_table_show_what_scenes_have() -> None:
    of = flat_cell("tiny_points:SceneNet", "tiny_points:Rooms", "pointbim", "lgm", 0.02, slope=5.0)
    table = only(hand_made.scenes(of, 0.2, kvoxels=1.0, gflops=1.0))
    assert [column.header for column in table.columns] == ["mIoU", "Arch. chg."]
    assert table.rows == [CLEAN, "pointbim eps=0.02"]


def test_every_format_takes_them() -> None:
    results = [scenes("table_7", **lgm()), scenes("table_6", **lgm())]
    for table in build_tables(frame_of(results)):
        latex = to_latex(table)
        assert latex.count("{") == latex.count("}")


def test_words() -> None:
    one = scenes("table_4", **lgm(relation="rbf"))
    assert describe(one.cell) == f"{VICTIM} pointbim eps 0.01 m LGM slope 10 rbf"
    assert describe(cell(attack="random", eps=0.01)).endswith("random eps 0.01 m")
    assert numbers(one).startswith("clean mIoU 60.00%  mIoU 20.00%  architecture")
