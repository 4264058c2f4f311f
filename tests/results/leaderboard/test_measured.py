"""What a leaderboard takes from finished cells, and what it does not believe."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished_cells import finished, image_rows, scene_rows

from lgm_bench.errors import ResultError
from lgm_bench.evaluation.store.scene_tally import figures_of
from lgm_bench.results.leaderboard.measured import read_measured

FINGERPRINT = "0123456789abcdef"
IMAGES = image_rows([True, False, False, True])
SCENES = scene_rows(np.array([[[5, 1], [2, 2]], [[4, 0], [0, 3]]]))


def write(out: Path, rows: Any) -> Path:
    figures = figures_of(rows, ["wall", "floor"])
    finished(out, FINGERPRINT, rows, {}, **figures)
    (path,) = out.glob("*/result.json")
    return path


@pytest.mark.parametrize("rows", [IMAGES, SCENES], ids=["images", "scenes"])
def test_records_agree_with_their_rows(tmp_path: Path, rows: Any) -> None:
    write(tmp_path, rows)
    (one,) = read_measured(tmp_path)
    numbers = {name: number["expected"] for name, number in one.entry.numbers.model_dump(exclude_none=True).items()}
    images = {"clean_accuracy": 1.0, "accuracy": 0.5, "success_rate": 0.5}
    miou = (9 / 12 + 5 / 8) / 2
    scenes = {"clean_miou": miou, "miou": miou, "architecture_change": 0.0}
    assert numbers == pytest.approx(images if rows is IMAGES else scenes)


@pytest.mark.parametrize(
    ("rows", "place", "number", "message"),
    [
        (IMAGES, ("accuracy",), 0.75, r"result\.json and rows\.parquet in .* do not agree"),
        (IMAGES, ("success_rate",), 0.25, "do not agree"),
        (IMAGES, ("success_rate",), None, "do not agree"),
        (IMAGES, ("success_rate",), float("nan"), "has nan where a share belongs; delete the folder"),
        (IMAGES, ("clean_accuracy",), 1.5, r"has 1\.5 where a share belongs"),
        (SCENES, ("segmentation", "miou"), 0.9, "do not agree"),
        (SCENES, ("segmentation", "clean_miou"), float("nan"), "has nan where a share belongs"),
    ],
)
def test_numbers_that_cannot_be_are_refused(
    tmp_path: Path, rows: Any, place: tuple[str, ...], number: float | None, message: str
) -> None:
    path = write(tmp_path, rows)
    record = json.loads(path.read_text())
    *outer, last = place
    inner = record[outer[0]] if outer else record
    inner[last] = number
    path.write_text(json.dumps(record))
    with pytest.raises(ResultError, match=message):
        read_measured(tmp_path)
