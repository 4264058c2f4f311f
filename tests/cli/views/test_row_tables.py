import csv
import io

import numpy as np
import pyarrow as pa
import pytest
from finished_cells import image_rows, scene_rows
from hand_made import cell, result, scenes

from lgm_bench.cli.views.row_tables import chosen_rows, notable_samples, rows_csv, rows_table
from lgm_bench.errors import ConfigError, UnknownNameError

FELL = [True, False, True, False]
SCENES = scene_rows(np.ones((2, 3, 3), np.int64))
ATTACKED = [True, True, True, False]


def ids(table: pa.Table) -> list[str]:
    return table.column("id").to_pylist()


def test_fallen_and_survived_are_of_the_attacked() -> None:
    rows = image_rows(FELL, attacked=ATTACKED)
    assert ids(chosen_rows(rows, "fallen")) == ["image0", "image2"]
    assert ids(chosen_rows(rows, "survived")) == ["image1"]
    assert chosen_rows(rows, None) is rows
    with pytest.raises(UnknownNameError, match="did you mean fallen"):
        chosen_rows(rows, "falen")
    with pytest.raises(ConfigError, match="scenes"):
        chosen_rows(scene_rows(np.ones((2, 3, 3), np.int64)), "fallen")


def test_csv_has_every_column_and_reads_back() -> None:
    rows = scene_rows(np.arange(8).reshape(2, 2, 2))
    first, second = csv.DictReader(io.StringIO(rows_csv(rows)))
    assert list(first) == rows.column_names
    assert (first["confusion"], second["confusion"]) == ("0 1 2 3", "4 5 6 7")
    assert second["id"] == "scene1"


def test_the_slowest_fell_last_and_the_nearest_has_the_largest_loss() -> None:
    rows = image_rows([True, True, False, False])
    history = pa.array([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]], pa.list_(pa.float32()))
    loss = pa.array([5.0, 5.0, 0.1, 0.7], pa.float32())
    for name, values in (("history", history), ("adversarial_loss", loss)):
        rows = rows.set_column(rows.column_names.index(name), name, values)
    told = dict(notable_samples(result(), rows))
    assert told["first fallen"] == "image0 (0 -> 1), image1 (0 -> 1)"
    assert told["slowest to fall"] == "image1 (iteration 3), image0 (iteration 1)"
    assert told["nearest to falling"].startswith("image3 (loss 0.00 -> 0.70), image2")
    assert "wrong before the attack" not in told


def test_of_scenes_those_stand_out_that_lost_most() -> None:
    matrices = np.array([[[4, 0], [0, 4]], [[4, 0], [4, 0]], [[4, 0], [2, 2]]])
    rows = scene_rows(matrices)
    clean = scene_rows(np.array([[[4, 0], [0, 4]]] * 3)).column("confusion")
    rows = rows.set_column(rows.column_names.index("clean_confusion"), rows.schema.field("clean_confusion"), clean)
    ((title, named),) = notable_samples(scenes(cell(), 0.5), rows)
    assert title == "largest loss of mIoU"
    assert named.startswith("scene1 (100.00% -> 25.00%), scene2 (100.00% -> 58.33%), scene0 (100.00% -> 100.00%)")


def test_a_table_has_the_tasks_own_columns() -> None:
    heads = [[column.header for column in rows_table(rows).columns] for rows in (image_rows(FELL, target=3), SCENES)]
    assert heads[0][:5] == ["id", "target", "label", "clean\nprediction", "adversarial\nprediction"]
    assert heads[1][:4] == ["id", "n\npoints", "clean\nmIoU", "mIoU"]
