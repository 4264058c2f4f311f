"""Reports of real runs: well-formed, of one piece, readable without pictures, and true to the results."""

import itertools
import json
import logging
import sys
from pathlib import Path

import html5lib
import numpy as np
import pytest
from hand_made import altered, cell, flat_cell, result
from judged import SKIPNET, judged_cell, write_judged
from tiny_points import ROOMS, SCENE_NET, SHAPE_NET, SHAPES

from lgm_bench.cli.session import Session
from lgm_bench.errors import ConfigError, ResultError
from lgm_bench.evaluation.cells.schema import RunOptions
from lgm_bench.evaluation.engine.runner import RunResults, run_cells
from lgm_bench.evaluation.store.tally import unit_sums
from lgm_bench.report import folder as folders
from lgm_bench.report.architecture import shares_of
from lgm_bench.report.curves import progress
from lgm_bench.report.execution import executions
from lgm_bench.report.folder import ResultsFolder, report_of
from lgm_bench.report.page import page
from lgm_bench.results.reading import Finished, read_results

HTML = "{http://www.w3.org/1999/xhtml}"
N_IMAGES, STEPS = 13, 3
FIGURES = {
    "Accuracy over eps",
    "mIoU over eps",
    "Iteration by iteration",
    "Architecture change",
    "Execution of each unit by class",
    "Decisions of clean and attacked images (t-SNE)",
    "Relation functions and their derivatives",
    f"{SKIPNET}: bim, eps 4 (8/255)",
    f"{SHAPE_NET}: pointbim, eps 0.03 radii",
    f"{SCENE_NET}: pointbim, eps 0.03 m",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResults]:
    root = write_judged(tmp_path_factory.mktemp("data"), SKIPNET, N_IMAGES)
    out = tmp_path_factory.mktemp("results")
    images = [
        judged_cell(SKIPNET, gradient, attack="bim", eps=eps, steps=STEPS, history=True)
        for gradient in ("fgm", "lgm")
        for eps in (2.0, 4.0)
    ]
    results = run_cells(images, out, data_root=root, accelerator="cpu")
    scene = flat_cell(SCENE_NET, ROOMS, "pointbim", "fgm", 0.03, step=0.01, steps=STEPS)
    shape = altered(scene, victim=SHAPE_NET, data=SHAPES)
    leaded = [altered(one, gradient="lgm", slope=10.0) for one in (scene, shape)]
    random = altered(scene, attack="random", step=None, steps=None)
    points = [scene, altered(scene, eps=0.02), random, shape, *leaded]
    more = run_cells(points, out, accelerator="cpu")
    assert not results.failures + more.failures
    results.extend(more)
    return out, results


@pytest.fixture(scope="module")
def html(run: tuple[Path, RunResults], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "sub" / "report.html"
    written = report_of(run[0], path)
    assert written == [path, path.with_suffix(".md"), path.with_suffix(".tex")]
    assert all(one.stat().st_size > 500 for one in written)
    return path.read_text()


def parsed(html: str):
    """The page as browsers see it; markup that they have to repair is an error."""
    return html5lib.HTMLParser(strict=True).parse(html)


def test_it_is_well_formed_and_of_one_piece(html: str) -> None:
    document = parsed(html)
    assert len(html) < 6e6
    ids = [element.get("id") for element in document.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in document.iter():
        assert element.tag not in (f"{HTML}link", f"{HTML}iframe")
        assert element.tag != f"{HTML}script" or set(element.attrib) <= {"type", "id"}
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            assert "http:" not in value
            assert "https:" not in value
            if name in ("src", "href", "{http://www.w3.org/1999/xlink}href"):
                assert value.startswith(("data:image/", "#")), value
                assert not value.startswith("#") or value[1:] in ids
    assert "@import" not in html
    assert "http://" not in html
    assert "https://" not in html
    assert all(part.startswith("#") for part in html.split("url(")[1:])


def test_every_picture_says_what_it_shows_and_every_kind_of_figure_how_to_read_it(html: str) -> None:
    document = parsed(html)
    for picture in document.iter(f"{HTML}img"):
        assert len(picture.get("alt")) > 10
    plots = [element for element in document.iter() if element.get("class") == "chart"]
    assert len(plots) >= 10
    for plot in plots:
        assert (plot.get("role"), len(plot.get("aria-label")) > 30) == ("img", True)
    figures = list(document.iter(f"{HTML}figure"))
    titles = {title.text for figure in figures for title in figure.iter(f"{HTML}h3")}
    assert titles >= FIGURES
    captions = [caption.text for figure in figures for caption in figure.iter(f"{HTML}figcaption")]
    assert len(captions) >= len(FIGURES)
    assert all(len(caption) > 60 for caption in captions)


def test_headings_do_not_skip_a_level(html: str) -> None:
    tags = [element.tag.removeprefix(HTML) for element in parsed(html).iter() if isinstance(element.tag, str)]
    levels = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert "could not be drawn" not in html


def test_numbers_and_provenance_are_those_of_the_results(html: str, run: tuple[Path, RunResults]) -> None:
    cells = ["".join(element.itertext()) for element in parsed(html).iter(f"{HTML}td")]
    for one in run[1]:
        assert f"{100 * one.left:.2f}" in cells
        assert one.fingerprint in cells
        assert one.checkpoint_sha256[:16] in cells


def by_cell(run: tuple[Path, RunResults], victim: str, gradient: str, eps: float) -> Finished:
    found = [one for one in read_results(run[0]) if one.result.cell.attack.name != "random"]
    (chosen,) = (
        one
        for one in found
        if (one.result.cell.victim.name, one.result.cell.gradient.name, one.result.cell.attack.eps)
        == (victim, gradient, eps)
    )
    return chosen


@pytest.mark.parametrize("gradient", ["fgm", "lgm"])
def test_progress_ends_with_what_the_record_says(run: tuple[Path, RunResults], gradient: str) -> None:
    images = by_cell(run, SKIPNET, gradient, 4.0)
    line = progress(images)
    assert len(line) == STEPS + 1
    assert line[0] == pytest.approx(images.result.clean)
    assert line[-1] == pytest.approx(images.result.left)
    for victim in (SCENE_NET, SHAPE_NET):
        points = by_cell(run, victim, gradient, 0.03)
        line = progress(points)
        assert len(line) == STEPS, "the released runs count the clean cloud as an iteration"
        assert line[[0, -1]] == pytest.approx((points.result.clean, points.result.left))


def test_progress_of_scenes_is_that_of_shorter_attacks(tmp_path: Path) -> None:
    cells = [flat_cell(SCENE_NET, ROOMS, "pointbim", "fgm", 0.03, step=0.01, steps=n) for n in range(1, STEPS + 2)]
    results = run_cells(cells, tmp_path, accelerator="cpu")
    assert results[0].n_samples > 1
    longest = next(one for one in read_results(tmp_path) if one.result.cell.attack.steps == STEPS + 1)
    assert progress(longest) == pytest.approx([result.left for result in results])
    each = np.array([row["miou"] for row in longest.rows().to_pylist()])
    assert progress(longest)[-1] != pytest.approx(each.mean()), "the mean over scenes is another number"


def test_shares_of_units_add_up_to_the_record(run: tuple[Path, RunResults]) -> None:
    for one in (by_cell(run, SKIPNET, "lgm", 4.0), by_cell(run, SCENE_NET, "lgm", 0.03)):
        change, positions = one.result.units, unit_sums(one.rows())[3]
        on, off = (shares_of(one) * positions).sum(1) / positions.sum()
        assert (on, off) == pytest.approx((change.off_to_on, change.on_to_off))
    of_images = by_cell(run, SKIPNET, "lgm", 4.0)
    executed, perturbed = executions(of_images), of_images.rows().column("perturbed").to_numpy()
    assert executed.clean.mean() == pytest.approx(of_images.result.metrics["executed_clean"])
    assert executed.attacked[perturbed].mean() == pytest.approx(of_images.result.metrics["executed"])
    assert len(executed.labels) == N_IMAGES


def test_what_is_damaged_or_missing_is_named_and_the_rest_shown(run: tuple[Path, RunResults], tmp_path: Path) -> None:
    out = tmp_path / "results"
    for folder in sorted(run[0].iterdir()):
        for path in (path for path in folder.rglob("*") if path.is_file()):
            (out / path.relative_to(run[0])).parent.mkdir(parents=True, exist_ok=True)
            (out / path.relative_to(run[0])).write_bytes(path.read_bytes())
    folders = {path.parent.name: path.parent for path in out.glob("*/result.json")}
    first, second, third = (
        next(path for name, path in folders.items() if text in name) for text in ("eps2-fgm", "eps4-lgm", "eps0.02")
    )
    (first / "rows.parquet").unlink()
    for path in (second / "examples").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    (third / "result.json").write_text(json.dumps({"old": 1}))
    (out / "half-done" / "parts").mkdir(parents=True)
    html = report_of(out)[0].read_text()
    parsed(html)
    assert "Left out of the pictures: " in html
    assert "1 results are left out: they are damaged or from another version." in html
    assert "1 cells are not finished: half-done." in html
    assert "mIoU before and after attacks" in html
    assert "could not be drawn" not in html


def test_without_plotly_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ConfigError, match=r"drawing the report needs plotly .*pip install 'lgm-bench\[report\]'"):
        page([Finished(Path("one"), result())])


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "result.json").write_text("{")
    with pytest.raises(ResultError, match="has no finished cells"):
        report_of(tmp_path)
    with pytest.raises(ResultError, match="there is no results folder"):
        report_of(tmp_path / "nothing")


NASTY = "<script>alert(1)</script>&\"'$\\frac{$"


def test_names_are_never_markup(tmp_path: Path) -> None:
    cells = [cell(victim=NASTY, data=NASTY, eps=eps, gradient=g) for eps in (1.0, 2.0) for g in ("fgm", "lgm")]
    found = [Finished(tmp_path / str(n), result(one, accuracy=0.1 * n)) for n, one in enumerate(cells)]
    html = page(found, title=NASTY, notes=[NASTY])
    document = parsed(html)
    assert {script.get("type") for script in document.iter(f"{HTML}script")} == {"application/json", "text/plain", None}
    assert NASTY not in html
    assert document.find(f"{HTML}body").find(f"{HTML}header").find(f"{HTML}h1").text == NASTY
    charts = [element for element in document.iter(f"{HTML}div") if element.get("class") == "chart"]
    (chart,) = (element for element in charts if element.get("aria-label").startswith("Line plot"))
    assert NASTY in chart.get("aria-label")
    (above,) = json.loads(chart.find(f"{HTML}script").text)["layout"]["annotations"]
    assert above["text"].startswith("&lt;script&gt;alert(1)&lt;/script&gt;&amp;")
    assert "Left out of the pictures" in html


def test_a_report_that_fails_fails_no_run(
    run: tuple[Path, RunResults], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise ZeroDivisionError("nothing there")

    monkeypatch.setattr(folders, "page", broken)
    with caplog.at_level(logging.WARNING):
        assert ResultsFolder(tmp_path).write_report(run[1], [], []) is None
    assert "no report could be made (ZeroDivisionError: nothing there); try lgm-bench report" in caplog.text


def test_one_picture_that_fails_costs_only_itself(
    run: tuple[Path, RunResults], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("nothing there")

    monkeypatch.setattr("lgm_bench.report.curves.curves", broken)
    html = page(read_results(run[0]))
    assert "Some figures could not be drawn (ZeroDivisionError: nothing there)." in html
    assert "Iteration by iteration" in html


def test_of_runs_that_end_at_once_the_one_with_the_latest_tables_writes_the_report(tmp_path: Path) -> None:
    few, all_of_them = (RunResults() for _ in range(2))
    few.append(result(cell(eps=1.0)))
    all_of_them.extend([*few, result(cell(eps=2.0), accuracy=0.0625)])
    early, late = (Session(RunOptions(out=str(tmp_path))) for _ in range(2))
    early.folder.write_tables(few)
    late.folder.write_tables(all_of_them)
    paths = [session.folder.write_report(results, [], []) for session, results in ((late, all_of_them), (early, few))]
    assert paths == [tmp_path / "report.html"] * 2
    assert "6.25" in paths[0].read_text()
