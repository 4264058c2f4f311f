"""What a leaderboard takes from finished cells, and what it does not believe."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished_cells import finished, image_rows, scene_rows

from lgm_bench.errors import ResultError
from lgm_bench.results.leaderboard.board import read_measured

FINGERPRINT = "0123456789abcdef"
IMAGES = image_rows([True, False, False, True])
SCENES = scene_rows(np.array([[[5, 1], [2, 2]], [[4, 0], [0, 3]]]))


def write(out: Path, rows: Any) -> Path:
    finished(out, FINGERPRINT, rows, {})
    (path,) = out.glob("*/result.json")
    return path


@pytest.mark.parametrize("rows", [IMAGES, SCENES], ids=["images", "scenes"])
def test_records_agree_with_their_rows(tmp_path: Path, rows: Any) -> None:
    write(tmp_path, rows)
    (one,) = read_measured(tmp_path)
    numbers = {name: number.expected for name, number in one.entry.numbers.items()}
    images = {"clean_accuracy": 1.0, "accuracy": 0.5, "success_rate": 0.5}
    miou = (9 / 12 + 5 / 8) / 2
    scenes = {"clean_miou": miou, "miou": miou, "architecture_change": 0.0}
    assert numbers == pytest.approx(images if rows is IMAGES else scenes)


@pytest.mark.parametrize(
    ("rows", "place", "number", "message"),
    [
        (IMAGES, ("metrics", "accuracy"), 0.75, r"metrics accuracy is 0\.75 in the record and 0\.5 in the rows"),
        (IMAGES, ("metrics", "success_rate"), None, "metrics success_rate is None in the record"),
        (IMAGES, ("metrics", "success_rate"), float("nan"), "success rate is nan where a share belongs; delete"),
        (IMAGES, ("metrics", "clean_accuracy"), 1.5, r"clean accuracy is 1\.5 where a share belongs"),
        (IMAGES, ("n_samples",), 3, "n_samples is 3 in the record and 4 in the rows"),
        (IMAGES, ("n_attacked",), 0, "n_attacked is 0 in the record and 4 in the rows"),
        (IMAGES, ("task",), "classification", "1 that cannot be read"),
        (SCENES, ("metrics", "miou"), 0.9, "metrics miou is 0.9 in the record"),
        (SCENES, ("metrics", "clean_miou"), float("nan"), "clean mIoU is nan where a share belongs"),
        (SCENES, ("classes", "iou"), [0.5, 0.5, None], "classes is names="),
        (SCENES, ("units", "on_to_off"), 0.5, "units is n_samples=2"),
    ],
)
def test_numbers_that_cannot_be_are_refused(
    tmp_path: Path, rows: Any, place: tuple[str, ...], number: Any, message: str
) -> None:
    path = write(tmp_path, rows)
    record = json.loads(path.read_text())
    *outer, last = place
    inner = record[outer[0]] if outer else record
    inner[last] = number
    path.write_text(json.dumps(record))
    with pytest.raises(ResultError, match=message):
        read_measured(tmp_path)
