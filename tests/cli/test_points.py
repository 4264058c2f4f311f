"""Point clouds from the command line: networks and data of a user's own, and the official layouts."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from answers import Answer, Command
from street_and_shape_files import write_semantickitti
from tiny_points import ROOMS, SCENE_NET, SHAPE_NET, SHAPES

SCENES = (SCENE_NET, "--data", ROOMS, "--accelerator", "cpu")
LEADED = (
    "--attack",
    "pointbim",
    "--eps",
    "0.03",
    "--step",
    "0.01",
    "--steps",
    "3",
    "--gradient",
    "lgm",
    "--slope",
    "10",
)


def rows_of(answer: Answer, out: str) -> list[dict[str, object]]:
    assert answer.code == 0, answer.err
    (path,) = Path(out).glob("*/rows.parquet")
    return pq.read_table(path).to_pylist()


def test_an_attack_on_a_network_of_ones_own(lgm_bench: Command) -> None:
    answer = lgm_bench("attack", *SCENES, *LEADED, "--save-clouds")
    assert answer.code == 0, answer.err
    assert f"[1/1] {SCENE_NET} pointbim eps 0.03 m LGM slope 10: 5 samples" in answer.err
    assert "mIoU" in answer.out
    assert "Measured on 5 tiny_points:Rooms test point clouds." in answer.out
    (result,) = lgm_bench("attack", *SCENES, *LEADED, "--json", "--quiet").json["results"]
    assert f"mIoU {result['metrics']['miou']:.2%}" in answer.err
    assert result["metrics"]["miou"] < result["metrics"]["clean_miou"]
    assert result["metrics"]["kvoxels"] > 0
    assert result["metrics"]["gflops"] > 0
    assert result["checks"]["within_bounds"]
    (folder,) = Path("results").glob("*/clouds")
    assert sorted(path.name for path in folder.iterdir())[:2] == ["test%2F00.npz", "test%2F00.ply"]


def test_batch_size_changes_nothing(lgm_bench: Command) -> None:
    rows = []
    for size in ("1", "3"):
        answer = lgm_bench("attack", *SCENES, *LEADED, "--batch-size", size, "--out", size)
        rows.append(rows_of(answer, size))
    assert rows[0] == rows[1]


@pytest.mark.parametrize("eps", ["0", "1e-30"])
def test_an_eps_that_moves_nothing_is_refused(lgm_bench: Command, eps: str) -> None:
    for attacked in ((*SCENES, *LEADED[:2]), (SHAPE_NET, "--data", SHAPES, "--attack", "random")):
        answer = lgm_bench("attack", *attacked, "--eps", eps)
        assert (answer.code, "moves no point" in answer.err) == (2, True), answer.err


def test_a_scan_in_the_official_layout(lgm_bench: Command, tmp_path: Path) -> None:
    root = write_semantickitti(tmp_path / "kitti", {"08": 2}, points=60)
    victim = ("cylinder3d-small-semantickitti", "--checkpoint", "random", "--data-root", root, "--accelerator", "cpu")
    answer = lgm_bench(
        "attack", *victim, "--attack", "pointbim", "--gradient", "lgm", "--steps", "2", "--limit", "1", "--json"
    )
    assert answer.code == 0, answer.err
    (result,) = answer.json["results"]
    attack, gradient, scenes = result["cell"]["attack"], result["cell"]["gradient"], result["classes"]
    assert (attack["eps"], gradient["slope"], gradient["input_slope"], attack["step"], attack["loss"]) == (
        0.01,
        200,
        10,
        0.005,
        "lovasz",
    )
    assert scenes["names"][0] == "unlabeled"
    assert scenes["clean_iou"][0] is None
    assert sum(map(sum, scenes["confusion"])) < 60, "points without a label do not count"
    assert sum(scenes["confusion"][0]) == 0


def test_search_of_scenes(lgm_bench: Command) -> None:
    command = ("search", *SCENES, *LEADED[:2], "--eps", "0.03", "--steps", "2", "--slopes", "5,10")
    answer = lgm_bench(*command, "--relation", "rbf")
    assert answer.code == 0, answer.err
    assert "mIoU, lower is stronger" in answer.out
    (path,) = Path("results").glob("search-*.json")
    record = json.loads(path.read_text())
    left = {score["slope"]: score["miou"] for score in record["scores"] if score["slope"]}
    assert left[record["best"][0]["slope"]] == min(left.values())


def test_validate_runs_points_at_a_few_centimetres(lgm_bench: Command, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(f"""
        run: {{accelerator: cpu}}
        suites:
          points:
            grids:
              - data: {ROOMS}
                victims: [{{name: "{SCENE_NET}", slopes: {{pointbim: {{0.01: 5, 0.05: 9}}}}}}]
                attacks: [random, {{name: pointbim, relation: [rbf, sigmoid]}}]
                eps: [0.01, 0.05]
    """)
    answer = lgm_bench("validate", "my.yaml")
    assert answer.code == 0, answer.err
    assert answer.out == "10 cells, 10 ok, 0 failed, 0 missing\n"
    assert "eps 0.01" in answer.err
    assert "eps 1 " not in answer.err
    wrong = lgm_bench("validate", "my.yaml", "--set", "suites.points.grids.0.attacks.1.relation=rfb")
    assert wrong.code == 2
    assert "unknown relation function 'rfb'; did you mean rbf?" in wrong.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*SCENES, *LEADED, "--relation", "sigmiod"), "unknown relation function 'sigmiod'; did you mean sigmoid?"),
        ((*SCENES, *LEADED[:2], "--eps", "-0.01"), "--eps: expected greater than or equal to 0, got '-0.01'"),
        ((*SCENES, *LEADED[:2], "--input-slope", "0"), "--input-slope: expected greater than 0, got 0.0"),
        ((*SCENES, *LEADED[:2], "--targeted"), "targeted is for attacks on images"),
        (
            SCENES,
            "data set 'tiny_points:Rooms' holds scenes, which 'fgsm' does not attack; choose one of random",
        ),
        ((SCENE_NET, "--data", "digits", "--attack", "pointbim"), "holds images, which 'pointbim' does not attack"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(lgm_bench: Command, arguments: tuple[str, ...], message: str) -> None:
    answer = lgm_bench("attack", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert answer.err.count("\n") == 1
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("victim", "data", "attack", "message"),
    [
        ("tiny_networks:Linear", ROOMS, "pointbim", f"is for images and data set '{ROOMS}' for segmentation"),
        (SHAPE_NET, ROOMS, "pointbim", f"is for classification and data set '{ROOMS}' for segmentation"),
        (SCENE_NET, "digits", "fgsm", "is for segmentation and data set 'digits' for images"),
    ],
)
def test_a_network_of_something_else_is_refused(
    lgm_bench: Command, victim: str, data: str, attack: str, message: str
) -> None:
    answer = lgm_bench("attack", victim, "--data", data, "--attack", attack, "--accelerator", "cpu")
    assert answer.code == 2
    assert f"error: victim '{victim}' {message}; choose another" in answer.err
    assert not list(Path().glob("results/*/result.json"))


def test_a_network_that_fails_is_named(lgm_bench: Command) -> None:
    answer = lgm_bench("attack", "tiny_points:BrokenNet", *SCENES[1:], *LEADED[:2])
    assert answer.code == 2
    assert "no weights for" in answer.err
    assert "Traceback" not in answer.err
