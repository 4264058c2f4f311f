"""What attacks leave, and the worst case over several: numbers by hand are the oracles."""

import numpy as np
import pyarrow as pa
import pytest
from finished_cells import image_rows, scene_rows

from lgm_bench.metrics.iou import iou_counts, mean_iou
from lgm_bench.results.levels import level, worst_case
from lgm_bench.tasks.images import ImageClassification
from lgm_bench.tasks.point_clouds import SceneSegmentation

ACCURACY, SUCCESS = ImageClassification.metric("accuracy"), ImageClassification.metric("success_rate")
MIOU = SceneSegmentation.metric("miou")
FELL = np.array([[True] * 4 + [False] * 6, [False] * 2 + [True] * 4 + [False] * 4])


def test_a_sample_falls_in_the_worst_case_if_any_attack_fells_it() -> None:
    cells = [image_rows(fell) for fell in FELL]
    assert [level(rows, ACCURACY).value for rows in cells] == pytest.approx([0.6, 0.6])
    worst = worst_case(cells, ACCURACY)
    assert (worst.value, worst.n_samples) == (pytest.approx(0.4), 10)
    assert worst.interval[0] < 0.4 < worst.interval[1]
    assert worst_case(cells, SUCCESS).value == pytest.approx(0.6)


def test_the_worst_case_is_about_the_samples_that_all_attacks_have() -> None:
    first, second = (image_rows(fell) for fell in FELL)
    shuffled = second.slice(0, 6).take(pa.array([5, 3, 1, 0, 2, 4]))
    worst = worst_case([first, shuffled], ACCURACY)
    assert (worst.value, worst.n_samples) == (0.0, 6)
    assert worst_case([first.slice(0, 3), second.slice(3, 3)], ACCURACY) is None
    assert worst_case([first], ACCURACY) is None


def test_the_worst_case_of_scenes_is_the_miou_of_the_worst_of_each_together() -> None:
    good, bad = 50 * np.eye(3, dtype=int), np.full((3, 3), 10)
    matrices = np.array([[good, bad, good], [bad, good, good]])
    worst = worst_case([scene_rows(of_arm) for of_arm in matrices], MIOU)
    assert worst.value == pytest.approx(float(mean_iou(*iou_counts(bad + bad + good))))
    assert (worst.n_samples, worst.interval) == (3, None)


def test_attempts_on_one_sample_stay_together_in_a_resample() -> None:
    """Ten samples with ten equal attempts each are as uncertain as ten samples, not as a hundred."""
    fell = np.array([True] * 5 + [False] * 5)
    once = image_rows(fell)
    often = pa.concat_tables(
        [
            once.set_column(once.schema.get_field_index("target"), "target", pa.array([k] * 10, pa.int32()))
            for k in range(10)
        ]
    )
    assert level(often, ACCURACY).interval == level(once, ACCURACY).interval
