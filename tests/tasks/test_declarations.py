"""What tasks declare fits together, whatever reads it."""

import numpy as np
import pyarrow as pa
import pytest
from finished_cells import image_rows, scene_rows

from lgm_bench.errors import UnknownNameError
from lgm_bench.tasks.base import TASKS, task_named, task_of
from lgm_bench.tasks.metric import Metric, Tolerance, ratio, share_of

RANDOM = np.random.default_rng(0)
ROWS = {
    "images": image_rows([True, False, True, False, False], attacked=[True, True, True, False, True]),
    "segmentation": scene_rows(RANDOM.integers(0, 20, (5, 3, 3)), ignored=(0,)),
}


@pytest.mark.parametrize("name", TASKS)
def test_names_that_a_task_refers_to_are_there(name: str) -> None:
    task = task_named(name)
    names = [metric.name for metric in task.metrics]
    assert task.name == name
    assert len(set(names)) == len(names)
    assert task.metric(task.main).stronger == -1
    assert all(metric.before in names for metric in task.metrics if metric.before)
    assert task.metric(task.main).before
    assert task.compared(targeted=False).name == task.main
    assert all(metric.stronger for metric in task.metrics if metric.event)
    fields = [field.name for field in task.schema()]
    assert len(set(fields)) == len(fields)


def test_a_name_means_the_same_in_every_task() -> None:
    """Tables and leaderboards of mixed results put equal names into one column."""
    meanings: dict[str, set[tuple[str, str, str]]] = {}
    for task in map(task_named, TASKS):
        for metric in task.metrics:
            meanings.setdefault(metric.name, set()).add((metric.label, metric.heading, metric.unit))
    assert {name: len(found) for name, found in meanings.items()} == dict.fromkeys(meanings, 1)


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_a_figure_of_many_sums_is_that_of_each(rows: pa.Table) -> None:
    """The bootstrap asks for the figures of thousands of resamples at once."""
    for metric in task_of(rows).metrics:
        parts = metric.parts(rows)
        assert parts.shape[0] == len(rows)
        times = RANDOM.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=6)
        together = metric.value(times @ parts)
        for value, chosen in zip(together, times, strict=True):
            one = metric.figure(metric.parts(rows.take(np.repeat(np.arange(len(rows)), chosen))).sum(axis=0))
            assert (one is None and np.isnan(value)) or one == pytest.approx(value, rel=1e-12)


def test_a_ratio_without_anything_has_no_value() -> None:
    values = ratio(np.array([[1.0, 2.0], [0.0, 0.0]]))
    assert values[0] == 0.5
    assert np.isnan(values[1])
    nothing = Metric("x", "x", "X", lambda table: share_of(table, np.zeros(0)))
    assert nothing.figure(np.zeros(2)) is None


def test_words_and_numbers() -> None:
    accuracy = task_named("images").metric("accuracy")
    assert (accuracy.text(0.25), accuracy.number(0.25), accuracy.number(None)) == ("25.00%", 25.0, None)
    cost = task_named("segmentation").metric("gflops")
    assert (cost.text(1.5), cost.number(1.5)) == ("1.50 GFLOPs", 1.5)
    assert [task_named(name).metric(task_named(name).main).title for name in TASKS] == ["Accuracy", "Accuracy", "mIoU"]


def test_tolerances_are_the_largest_of_their_parts() -> None:
    tolerance = Tolerance(0.005, relative=0.1, samples=3)
    assert tolerance.of(0.01, 10_000) == 0.005
    assert tolerance.of(0.5, 10_000) == 0.05
    assert tolerance.of(0.01, 30) == 0.1


def test_a_task_is_found_by_its_class_and_others_are_named() -> None:
    assert task_named("lgm_bench.tasks.point_clouds:SceneSegmentation") is task_named("segmentation")
    with pytest.raises(UnknownNameError, match="did you mean images"):
        task_named("image")
