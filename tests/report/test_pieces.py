"""The pieces of reports: pictures, views of clouds, comparisons, places in tables."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from hand_made import altered, cell, flat_cell, result
from PIL import Image

from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.report.curves import over_eps
from lgm_bench.report.drawing import arm_styles, chart, picture, words
from lgm_bench.report.folder import with_places
from lgm_bench.report.groups import eps_sweeps, grouped, legend, representative
from lgm_bench.report.provenance import subtitle
from lgm_bench.results.formats import Grid
from lgm_bench.results.reading import Finished


def finished(*cells: Cell, **values: float) -> list[Finished]:
    return [Finished(Path(str(number)), result(one, **values)) for number, one in enumerate(cells)]


def decoded(markup: str) -> np.ndarray:
    source = markup.split('src="')[1].split('"')[0]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB"))


def test_small_pictures_keep_every_pixel() -> None:
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3) // 24 * 24
    markup = picture(pixels, 'eight "by" eight', scale=4)
    assert np.array_equal(decoded(markup), pixels)
    assert 'width="32"' in markup
    assert 'alt="eight &#34;by&#34; eight"' in markup


def test_large_photos_are_small_files() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (224, 224, 3)).astype(np.uint8)
    assert len(picture(noise, "noise")) < 0.7 * noise.size
    assert np.abs(decoded(picture(noise // 8 + 100, "noise")).astype(int) - (noise // 8 + 100)).mean() < 10


def test_gradients_of_one_attack_are_compared_and_sweeps_come_last() -> None:
    fgm, lgm = cell(attack="pointbim", eps=0.01), cell(attack="pointbim", eps=0.01, gradient="lgm", slope=5.0)
    swept = cell(attack="pointbim", eps=0.01, gradient="lgm", slope=9.0, paper=("table_7", "slope=9", "v", "eps=0.01"))
    random, large = cell(attack="random", eps=0.01), cell(attack="pointbim", eps=0.02)
    groups = grouped(finished(swept, large, fgm, random, lgm))
    assert [one.cell.attack.eps for one in eps_sweeps(groups)[0]] == [0.01, 0.02]
    small, other = sorted(groups, key=lambda one: one.cell.attack.eps)
    assert [one.result.cell for one in small.shown.values()] == [random, fgm, lgm]
    assert [one.result.cell for one in other.shown.values()] == [large]
    assert representative(groups) == [small]


def test_of_sweeps_the_default_relation_stands_for_lgm() -> None:
    one = cell(attack="pointbim", eps=0.01, gradient="lgm", slope=5.0, relation="sigmoid")
    rbf = altered(one, relation="rbf", paper=("table_5", "eps=0.01", "v", "rbf"))
    usual = altered(one, paper=("table_5", "eps=0.01", "v", "sigmoid"))
    slope = altered(one, slope=9.0, paper=("table_7", "slope=9", "v", "eps=0.01"))
    assert grouped(finished(rbf, slope, usual))[0].arms["lgm"].result.cell == usual
    assert grouped(finished(rbf, slope))[0].arms["lgm"].result.cell == slope
    assert grouped(finished(rbf, slope, usual, one))[0].arms["lgm"].result.cell == one


def test_pictures_are_of_the_most_samples_and_say_how_many_if_not_of_all() -> None:
    few = Finished(Path("few"), result(cell(limit=2, eps=8.0), n_samples=2))
    many = Finished(Path("many"), result(cell(limit=50, eps=4.0), n_samples=50))
    (chosen,) = representative(grouped([few, many]))
    assert chosen.arms == {"fgm": many}
    assert chosen.title == "dynconv8-cifar10\nfgsm, first 50"
    assert representative(grouped(finished(cell())))[0].title == "dynconv8-cifar10\nfgsm"


def drawn(markup: str) -> go.Figure:
    """The chart as plotly reads it, which refuses what it has no meaning for."""
    return go.Figure(json.loads(markup.split('"application/json">')[1].split("</script>")[0]))


def test_charts_are_plotlys_with_numbers_instead_of_arrays_and_names_that_are_no_markup() -> None:
    trace = {"x": np.arange(3), "y": np.array([0.5, 1, 2]), "hovertext": [words("a <b>", "c & d")] * 3}
    markup = chart([trace], 'a "chart"', xaxis={"title": {"text": "x"}}, yaxis2={"overlaying": "y"}, height=99)
    figure = drawn(markup)
    assert list(figure.data[0].y) == [0.5, 1, 2]
    assert figure.data[0].hovertext[0] == "a &lt;b&gt;<br>c &amp; d"
    assert figure.layout.xaxis.gridcolor == figure.layout.yaxis2.gridcolor == "var(--line)"
    assert 'aria-label="a &#34;chart&#34;" style="height: 99px"' in markup
    assert "<b>" not in markup
    with pytest.raises(ValueError, match="not JSON compliant"):
        chart([{"y": [float("nan")]}], "a number that is none")


@pytest.mark.parametrize(("several", "scale"), [((0.005, 0.01, 0.05), "log"), ((3.0, 4.0, 6.0), "linear")])
def test_close_eps_do_not_run_into_each_other(several: tuple[float, ...], scale: str) -> None:
    ((ones),) = eps_sweeps(grouped(finished(*(cell(eps=eps) for eps in several))))
    figure = drawn(over_eps(ones).picture)
    assert figure.layout.xaxis.type == scale
    assert list(figure.layout.xaxis.ticktext) == [f"{eps:g}" for eps in several]
    assert list(figure.data[1].x) == list(several)
    assert list(figure.data[1].y) == [25.0] * 3
    assert list(figure.data[0].y) == [80.0] * 2


def test_arms_look_different_and_the_baseline_comes_first() -> None:
    groups = grouped(finished(*(cell(gradient=name) for name in ("soft", "lgm", "fgm"))))
    assert [name for _, name, _ in legend(groups)] == ["FGM", "soft", "LGM"]
    styles = arm_styles(["fgm", "lgm", "soft", "straight-through"])
    assert len({(one.colour, one.marker) for one in styles.values()}) == len(styles) == 5
    assert len(arm_styles([str(number) for number in range(20)])) == 21


def test_a_cell_stands_in_every_table_that_prints_it() -> None:
    printed = resolved(flat_cell("minkunet34c-scannet", "scannet-1cm", "pointbim", "fgm", 0.01))
    own = resolved(cell(victim="dynconv8-mini", data="digits"))
    places = [one.cell.paper for one in with_places([result(printed), result(own)])]
    assert {place[0] for place in places if place} == {"table_4", "table_6", "table_7", "table_8"} - {"table_7"}
    assert places[-1] is None


@pytest.mark.parametrize(("text", "numeric"), [("-1.25", True), ("98.4%", True), ("–", True), ("3/255", False)])
def test_columns_of_numbers_stand_to_the_right(text: str, numeric: bool) -> None:
    assert Grid("g", ["a", "b"], [["x", text], ["y", "1,000"]]).numeric == [False, numeric]


def test_the_first_line_counts_victims_and_data_sets_by_name() -> None:
    found = finished(*(cell(eps=eps, limit=limit) for eps, limit in ((1.0, 5), (2.0, None))), cell(victim="other"))
    assert subtitle(found).startswith(
        "3 cells (a victim, an attack, an eps and a gradient each), of 2 victims on 1 data"
    )
