"""Floating point numbers of a run: double ones are those of the attack written out, lower ones are refused."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from hand_made import flat_cell
from judged import DYNCONV, SKIPNET, judged_cell, write_judged
from tiny_points import ROOMS, SCENE_NET, Rooms

from lgm_bench import LGM, Leaded
from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell
from lgm_bench.evaluation.engine.materials import build_data
from lgm_bench.evaluation.engine.place import checked_precision
from lgm_bench.evaluation.engine.runner import run_cells
from lgm_bench.evaluation.store.record import CellResult
from victims import load_victim

N, EPS, STEP, STEPS = 9, 4.0, 1.0, 3
SCENES = flat_cell(SCENE_NET, ROOMS, "pointbim", "lgm", 0.03, step=0.01, steps=2, slope=10.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_judged(tmp_path_factory.mktemp("data"), DYNCONV, N)


def run(cell: Cell, out: Path, root: Path | None = None, **options: Any) -> CellResult:
    results = run_cells([cell], out, data_root=root, **{"accelerator": "cpu", "batch_size": 4} | options)
    for _, error in results.failures:
        raise error
    (result,) = results
    return result


def test_double_precision_is_the_attack_written_out_in_doubles(root: Path, tmp_path: Path) -> None:
    cell = judged_cell(DYNCONV, "lgm", attack="bim", eps=EPS, step=STEP, steps=STEPS)
    result = run(cell, tmp_path, root, precision=64)
    assert result.precision == "float64"
    assert result.checks.batch_invariance < 1e-12
    datamodule = build_data(cell.data, root, N)
    datamodule.setup("test")
    images, labels, ids = next(iter(datamodule.test_dataloader()))
    victim = load_victim(DYNCONV, "random").double().requires_grad_(False)
    clean, x = images.double(), images.double()
    for _ in range(STEPS):
        x = x.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(Leaded(victim, LGM(1.0))(x), labels, reduction="sum"), x)
        x = (x + STEP * 2 / 255 * gradient.sign()).detach()
        x = x.clamp(clean - EPS * 2 / 255, clean + EPS * 2 / 255).clamp(-1, 1)
    loss = F.cross_entropy(victim(x), labels, reduction="none")
    (path,) = tmp_path.glob("*/rows.parquet")
    rows = {row["id"]: row for row in pq.read_table(path).to_pylist()}
    found = [rows[sample_id]["adversarial_loss"] for sample_id in ids]
    assert found == pytest.approx(loss.tolist(), rel=1e-6)  # the rows keep losses as float32
    assert [rows[i]["adversarial_prediction"] for i in ids] == victim(x).argmax(1).tolist()


def test_scenes_in_double_precision(tmp_path: Path) -> None:
    single, double = (run(SCENES, tmp_path, precision=precision) for precision in ("32", "64-true"))
    assert (single.precision, double.precision) == ("float32", "float64")
    assert single.fingerprint != double.fingerprint
    assert single.n_samples == double.n_samples == len(Rooms.sizes)
    assert double.checks.batch_invariance < 1e-12 < single.checks.batch_invariance or single.checks.deterministic
    assert double.clean == pytest.approx(single.clean, abs=0.01)


@pytest.mark.parametrize("precision", ["16", "16-mixed", "bf16-mixed", "bf16", "16-true", "bf16-true"])
def test_lower_precision_is_refused_with_the_reason(root: Path, tmp_path: Path, precision: str) -> None:
    with pytest.raises(ConfigError, match=r"sign attacks step by the sign.*--precision 32 or 64, or --force-precision"):
        run(judged_cell(SKIPNET), tmp_path, root, precision=precision)
    assert list(tmp_path.iterdir()) == []


def test_lower_precision_that_is_forced_is_in_the_record(root: Path, tmp_path: Path) -> None:
    cell = judged_cell(SKIPNET, limit=4)
    results = [run(cell, tmp_path, root, precision=p, force_precision=True) for p in ("bf16-mixed", "bf16-true", 32)]
    assert [result.precision for result in results] == ["bfloat16-mixed", "bfloat16", "float32"]
    assert len({result.fingerprint for result in results}) == 3


def test_random_moves_have_no_sign_to_lose() -> None:
    random = flat_cell(SCENE_NET, ROOMS, "random", NO_GRADIENT, 0.03)
    assert checked_precision("16", [random]) == "16-mixed"
    assert checked_precision(32, [SCENES]) == "32-true"


def test_an_unknown_precision(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown precision '65'"):
        run(judged_cell(SKIPNET), tmp_path, root, precision=65)
