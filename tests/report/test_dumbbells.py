"""Dumbbells say what the results say, in charts that plotly accepts."""

import json
from pathlib import Path

import plotly.graph_objects as go
import pytest
from hand_made import cell, result, scenes

from lgm_bench.report.compute import compute
from lgm_bench.report.drawing import arm_styles
from lgm_bench.report.dumbbells import CLEAN, WORST, Dumbbell, dumbbell_panel, legend_of
from lgm_bench.report.groups import grouped
from lgm_bench.report.measures import measures
from lgm_bench.report.model import Panel
from lgm_bench.results.levels import Level
from lgm_bench.results.reading import Finished

STYLES = arm_styles(["fgm", "lgm"])
COMPUTED = {"compute_clean": 40.0, "efficacy_clean": 0.6}


def drawn(panel: Panel) -> go.Figure:
    return go.Figure(json.loads(panel.picture.split('"application/json">')[1].split("</script>")[0]))


def found(*results: object) -> list[Finished]:
    return [Finished(Path(str(number)), one) for number, one in enumerate(results)]


def test_every_point_stands_at_its_value_with_its_interval() -> None:
    levels = {CLEAN: Level(0.9), "fgm": Level(0.5, (0.4, 0.65), 9), "lgm": Level(0.25), WORST: Level(0.2)}
    rows = [Dumbbell("a <b>", levels, "-25.0 stronger", {"fgm": "its slope"}), Dumbbell("c", {"fgm": Level(0.7)})]
    panel = dumbbell_panel(rows, STYLES, "accuracy")
    bar, clean, fgm, lgm, worst = drawn(panel).data
    assert list(bar.x) == [20, 90, None, 70, 70, None]
    assert [list(trace.x) for trace in (clean, fgm, lgm, worst)] == [[90], [50, 70], [25], [20]]
    assert list(fgm.error_x.array) == pytest.approx([15, 0])
    assert list(fgm.error_x.arrayminus) == pytest.approx([10, 0])
    assert fgm.hovertext[0] == "a &lt;b&gt;<br>FGM: 50.00% (40.0% to 65.0%)<br>its slope"
    assert all(-place - 0.5 < y < -place + 0.5 for trace in (fgm,) for place, y in enumerate(trace.y))
    assert {text.text for text in drawn(panel).layout.annotations} == {"a &lt;b&gt;", "-25.0 stronger", "c"}
    assert "c: FGM 70.0%" in panel.picture
    assert [name for _, name, _ in legend_of(rows, STYLES)] == [CLEAN, "FGM", "LGM", WORST]


def test_accuracy_and_miou_have_a_section_each_and_the_slopes_are_said() -> None:
    of_images = [result(cell(gradient="fgm"), accuracy=0.5), result(cell(gradient="lgm", slope=3.0), accuracy=0.25)]
    of_scenes = [scenes(cell(data="rooms", gradient=name), miou=0.3) for name in ("fgm", "lgm")]
    images, rooms = measures(grouped(found(*of_images, *of_scenes)), [])
    assert (images.title, rooms.title) == ("Accuracy", "mIoU")
    assert images.grids[0].header[:4] == ("victim and attack", "clean", "FGM", "LGM")
    assert images.grids[0].rows[0][1:4] == ("80.00", "50.00", "25.00")
    assert rooms.grids[0].rows[0][1:4] == ("60.00", "30.00", "30.00")
    assert images.headline == ["No samples were attacked under two gradients, so there is nothing to compare."]
    assert images.notes == ["Tuned for each arm: slope of LGM (3). Hovering over a point shows its own."]


def test_many_attacks_are_folded_behind_one_per_victim() -> None:
    attacks = [result(cell(eps=float(eps), victim=name)) for eps in range(1, 6) for name in ("one", "two")]
    (section,) = measures(grouped(found(*attacks)), [])
    first, everything = section.figures
    assert (first.folded, everything.folded) == (False, True)
    assert [len(drawn(figure.rows[0][0]).data[1].x) for figure in section.figures] == [2, 10]
    assert all("5" in text.text for text in drawn(first.rows[0][0]).layout.annotations)


def test_compute_is_shown_only_where_it_is_known() -> None:
    attacked = {"compute_attacked": 55.0, "efficacy": 0.45, "recovered_compute": 0.25}
    known = result(cell(gradient="lgm"), **COMPUTED, **attacked)
    less = result(cell(gradient="fgm"), **COMPUTED, **attacked | {"recovered_compute": -0.1})
    section = compute(grouped(found(known, less, result(cell(victim="static"), change=None))), "page")
    assert section.headline == [
        "1 of 2 attacks make the network compute more than on clean samples, at most by 25.0% of what it saves "
        "(dynconv8-cifar10, fgsm 1 (2/255), LGM)."
    ]
    assert section.grids[0].rows[1] == (
        *("dynconv8-cifar10", "LGM", "40.00", "55.00", "25.0%", "60.0%", "45.0%", "fgsm", "1 (2/255)"),
    )
    points = [trace.x[0] for trace in drawn(section.figures[0].rows[0][0]).data[1:]]
    assert points == pytest.approx([40, 55, 55])
    assert compute(grouped(found(result())), "page").is_empty
