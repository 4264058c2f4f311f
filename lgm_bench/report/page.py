"""The report as one HTML page."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from lgm_bench import __version__
from lgm_bench.errors import ResultError
from lgm_bench.evaluation.cells.paper import paper_tables
from lgm_bench.evaluation.store.samples import read_examples
from lgm_bench.report import (
    architecture,
    cloud_examples,
    curves,
    execution,
    image_examples,
    relations,
)
from lgm_bench.report.drawing import RANDOM
from lgm_bench.report.groups import Group, class_names, grouped, series, telling
from lgm_bench.report.model import Grid, Section, attempted
from lgm_bench.report.overview import checks, overview, provenance
from lgm_bench.results.comparisons import (
    comparisons_head,
    comparisons_notes,
    comparisons_rows,
    comparisons_title,
)
from lgm_bench.results.formats import heading, row_label
from lgm_bench.results.frame import frame_of
from lgm_bench.results.reading import Finished
from lgm_bench.results.statistics import Comparison
from lgm_bench.results.tables import Table, build_tables


def page(
    found: Sequence[Finished],
    comparisons: Sequence[Comparison] = (),
    tables: Sequence[Table] | None = None,
    *,
    title: str = "lgm-bench report",
    notes: Sequence[str] = (),
) -> str:
    """Return the report of finished cells as HTML that needs no other file and no network.

    Args:
        found: The cells.
        comparisons: Arms against their baselines on the same samples.
        tables: The tables of the section of tables; None: those of the cells.
        title: Heading of the page.
        notes: Remarks on the whole, such as what is missing.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("lgm_bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [section for section in sections(found, comparisons, tables, notes) if section.has_something]
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    template = environment.get_template("report.html.j2")
    return template.render(
        title=title, sections=shown, version=__version__, made=made, label=row_label, heading=heading
    )


def sections(
    found: Sequence[Finished],
    comparisons: Sequence[Comparison] = (),
    tables: Sequence[Table] | None = None,
    notes: Sequence[str] = (),
) -> list[Section]:
    """Return the sections of the report, empty ones too; see `page`."""
    groups = grouped(found)
    chosen = telling(groups)
    first = overview(found, comparisons, chosen)
    first.notes += notes
    if tables is None:
        tables = build_tables(frame_of(one.result for one in found))
    chapters = [first, Section("tables", "Tables", tables=_in_order(tables))]
    if comparisons:
        title, head = comparisons_title(comparisons), comparisons_head(comparisons)
        grid = Grid(title, head, comparisons_rows(comparisons), comparisons_notes(comparisons))
        chapters.append(Section("comparisons", "How sure the differences are", grids=[grid]))
    chapters += [_of_data(name, groups, chosen) for name in dict.fromkeys(one.cell.data.name for one in groups)]
    if any(one.points for one in groups):
        intro = ["The leaded gradient of point clouds lets a point belong to several voxels, each to some degree."]
        chapters.append(attempted(Section("relations", "Points and voxels", intro), relations.relations))
    return [*chapters, provenance(found), checks(found)]


def _of_data(name: str, groups: Sequence[Group], telling: Sequence[Group]) -> Section:
    """Return the pictures of one data set."""
    key = "data-" + re.sub(r"[^A-Za-z0-9]+", "-", name)
    section = Section(key, f"Data set {name}")
    ours, chosen = ([one for one in many if one.cell.data.name == name] for many in (groups, telling))
    together, names = series(ours), class_names(ours[0].any)
    attempted(section, partial(curves.curves, key, together))
    ours, chosen = (_readable(many, section) for many in (ours, chosen))
    together = series(ours)
    attempted(section, partial(curves.iterations, key, ours))
    iterative = any((found.result.cell.attack.steps or 1) > 1 for one in ours for found in one.arms.values())
    if iterative and curves.ITERATIONS not in [figure.title for figure in section.figures]:
        section.notes.append(
            "Not known iteration by iteration: of images that takes --history, and older versions did not look."
        )
    attempted(section, partial(architecture.architecture, key, chosen, together))
    points = any(one.points for one in chosen)
    show = cloud_examples.cloud_examples if points else image_examples.image_examples
    if chosen and not any(read_examples(found.folder) for one in chosen for found in one.arms.values()):
        section.notes.append("No sample can be shown: these results have no examples beside them.")
    attempted(section, partial(show, chosen, names))
    attempted(section, partial(execution.execution_maps, key, chosen, names))
    attempted(section, partial(execution.execution_planes, key, chosen, names))
    return section


def _readable(groups: Sequence[Group], section: Section) -> list[Group]:
    """Return the groups without results whose rows cannot be used; a note names each of these."""
    kept = []
    for one in groups:
        usable = {name: result for name, result in one.shown.items() if _is_readable(result, section)}
        random = usable.pop(RANDOM, None)
        kept += [replace(one, arms=usable, random=random)] if usable else []
    return kept


def _is_readable(one: Finished, section: Section) -> bool:
    try:
        one.rows()
    except ResultError as error:
        note = f"Not in the pictures: {error}."
        section.notes += [note] if note not in section.notes else []
        return False
    return True


def _in_order(tables: Sequence[Table]) -> list[Table]:
    """Return the paper's tables in the paper's order, the others behind."""
    order = list(paper_tables())
    return sorted(tables, key=lambda table: order.index(table.name) if table.name in order else len(order))
