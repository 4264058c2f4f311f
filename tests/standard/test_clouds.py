"""`lgm_bench.evaluate` on shapes and scenes."""

import json

import numpy as np
import pytest
import torch
from point_cases import batch, only, victim

import lgm_bench
from lgm_bench.attacks.standard_points import POINT_SCHEDULES, PointSchedule
from lgm_bench.errors import ConfigError, ResultError
from lgm_bench.standard.board import enter, read_entry
from lgm_bench.standard.result import Evaluation

SHAPES, SCENES = "minknet-small-modelnet40", "minkunet14-scannet"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POINT_SCHEDULES, "standard-fast", PointSchedule("standard-fast", 3, ("lgm@10", "fgm"), 2))


def evaluated(victim_name: str, data: object, **options: object) -> Evaluation:
    given = {"eps": 0.1, "budget": "standard-fast", "progress": False} | options
    return lgm_bench.evaluate(victim(victim_name), data, **given)


def miou(tables: list[list[int]], classes: int) -> float:
    total = np.array(tables).reshape(len(tables), classes, classes).sum(axis=0)
    hits, unions = np.diag(total), total.sum(axis=0) + total.sum(axis=1) - np.diag(total)
    return float((hits[unions > 0] / unions[unions > 0]).mean())


def test_shapes_fall_or_withstand(tmp_path) -> None:
    data = batch(SHAPES, (150, 110, 90, 130, 120, 100))
    data.labels[0] = (data.labels[0] + 1) % 40
    result = evaluated(SHAPES, data)
    frame = result.frame
    assert frame["id"].tolist() == data.ids
    assert frame["felled_by"][0] == "clean"
    assert (frame["correct"] == frame["felled_by"].isna()).all()
    assert (frame["correct"] <= frame["clean_prediction"].eq(frame["label"])).all()
    assert (frame["control_correct"] <= frame["fgm_correct"]).all()
    assert frame["distance"].max() <= 0.1 + 1e-6
    assert "L-infinity 0.1 radii, standard-1, fast, 6 shapes" in result.summary()
    assert "12 per shape that withstands" in result.summary()
    assert "What felled the shapes" in result.report(tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_worst_case_of_scenes_is_the_pooled_miou_of_each_ones_lowest() -> None:
    data = batch(SCENES, (150, 110))
    classes = victim(SCENES).num_classes
    result = evaluated(SCENES, data)
    frame = result.frame
    assert set(result.accuracies) == {"clean_miou", "fgm_miou", "control_miou", "miou"}
    for name, column in (
        ("clean_miou", "clean_confusion"), ("fgm_miou", "fgm_confusion"), ("control_miou", "control_confusion"),
        ("miou", "confusion"),
    ):  # fmt: skip
        assert result.accuracies[name].value == pytest.approx(miou(frame[column].tolist(), classes)), name
    for row in frame.itertuples():
        assert row.miou <= min(miou([row.fgm_confusion], classes), row.clean_miou)
        assert miou([row.control_confusion], classes) <= miou([row.fgm_confusion], classes)
    assert result.gain.value == result.accuracies["control_miou"].value - result.accuracies["miou"].value
    assert "lowest under" in result.summary()
    assert "m, standard-1, fast, 2 scenes" in result.summary()


def test_batches_change_no_result_and_a_run_goes_on(tmp_path) -> None:
    data = batch(SHAPES, (150, 110, 90))
    one = evaluated(SHAPES, data).frame
    apart = [only(data, [0]), only(data, [1, 2])]
    several = evaluated(SHAPES, apart, out=tmp_path).frame
    again = evaluated(SHAPES, apart, out=tmp_path).frame
    for frame in (several, again):
        assert frame["felled_by"].tolist() == one["felled_by"].tolist()
        assert frame["gradients"].tolist() == one["gradients"].tolist()


def test_clouds_without_ids_get_them_from_their_content() -> None:
    data = batch(SHAPES, (90, 80, 90))
    first, second = (evaluated(SHAPES, some).frame["id"] for some in (data[:2], only(data, [1, 2])[:2]))
    assert first[1:].tolist() == second.tolist()
    assert first.nunique() == 3


def test_a_shape_network_without_gradients_raises_a_flag() -> None:
    network = victim(SCENES)
    (flag,) = [flag for flag in evaluated(SCENES, batch(SCENES)).flags if flag.name == "zero gradients"] or [None]
    with torch.enable_grad():
        data = batch(SCENES)
        points = data.cloud.points.clone().requires_grad_()
        logits = network(data.cloud.moved(points))
    assert (flag is not None) == (not logits.requires_grad)


def test_shapes_have_an_entry_of_the_board(tmp_path) -> None:
    result = evaluated(SHAPES, batch(SHAPES), name="minknet")
    path = enter(result, tmp_path, data="shapes", limited=True, source=None)
    entry = read_entry(path)
    assert path.name == "minknet-linf-0.1.json"
    assert (entry.sample, entry.threat, entry.n_samples) == ("shape", "L-infinity 0.1 radii", 2)
    assert entry.left["worst"].value == result.frame["correct"].mean()
    assert "only 2 shapes" in entry.reliability


def test_scenes_have_an_entry_with_mious(tmp_path) -> None:
    result = evaluated(SCENES, batch(SCENES, (150, 110)), name="minkunet")
    path = enter(result, tmp_path, data="rooms", limited=False, source=None)
    entry = read_entry(path)
    assert path.name == "minkunet-linf-0.1.json"
    assert (entry.sample, entry.threat, entry.compute) == ("scene", "L-infinity 0.1 m", None)
    assert {name: figure.value for name, figure in entry.left.items()} == {
        "clean": result.accuracies["clean_miou"].value,
        "fgm": result.accuracies["fgm_miou"].value,
        "control": result.accuracies["control_miou"].value,
        "worst": result.accuracies["miou"].value,
    }
    content = json.loads(path.read_text())
    for change, said in (
        ({"felled_by": {"pointbim/fgm": 3}}, "n_samples is 2, and other numbers say 3"),
        ({"gain": {"value": 1.0, "interval": None}}, "gain is 1"),
        ({"sample": "shape"}, "figures of shapes are clean_accuracy"),
        ({"accuracies": content["accuracies"] | {"miou": {"value": -0.1, "interval": None}}}, r"in \[0, 1\]"),
    ):
        path.write_text(json.dumps(content | change))
        with pytest.raises(ResultError, match=said):
            read_entry(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"norm": "l2"}, "points move within cubes"),
        ({"eps": 20.0}, "larger than a room"),
        ({"data": (torch.rand(3, 3), torch.zeros(1).long())}, r"yields a Tensor; expected \(clouds, labels\)"),
        ({"data": []}, "has no shapes"),
    ],
)
def test_bad_input(change: dict, said: str) -> None:
    given = {"data": batch(SHAPES)} | change
    with pytest.raises(ConfigError, match=said):
        evaluated(SHAPES, given.pop("data"), **given)
