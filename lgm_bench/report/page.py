"""The report as one HTML file."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from lgm_bench import __version__
from lgm_bench.errors import ResultError
from lgm_bench.evaluation.cells.paper import paper_tables
from lgm_bench.evaluation.store.samples import kept_ids
from lgm_bench.report import architecture, cloud_examples, curves, execution, image_examples, relations
from lgm_bench.report.compute import compute
from lgm_bench.report.drawing import RANDOM, packed_plotly
from lgm_bench.report.groups import Group, class_names, eps_sweeps, grouped, representative
from lgm_bench.report.measures import OVERVIEW, measures
from lgm_bench.report.model import Section, attempted
from lgm_bench.report.provenance import checks, provenance, subtitle
from lgm_bench.report.templating import environment
from lgm_bench.results.comparisons import comparison_grid
from lgm_bench.results.formats import heading, row_label
from lgm_bench.results.frame import frame_of
from lgm_bench.results.reading import Finished
from lgm_bench.results.statistics import Comparison
from lgm_bench.results.tables import Table, build_tables

TABLES, VOXELS = "Tables", "Points and voxels"
"""Pages beside those of the data sets and those of other modules."""


def page(
    cells: Sequence[Finished],
    comparisons: Sequence[Comparison] = (),
    tables: Sequence[Table] | None = None,
    *,
    title: str = "lgm-bench report",
    notes: Sequence[str] = (),
) -> str:
    """Return the report of finished cells as HTML that needs no other file and no network.

    Args:
        cells: Finished cells.
        comparisons: Arms against their baselines.
        tables: Tables to show; None: those of the cells.
        title: Heading of the report.
        notes: General remarks, such as what is missing.

    Raises:
        ConfigError: Plotly is not installed.
    """
    return document(title, subtitle(cells), sections(cells, comparisons, tables), notes)


def document(title: str, below: str, chapters: Sequence[Section], notes: Sequence[str] = ()) -> str:
    """Return sections as HTML that needs no other file and no network.

    Args:
        title: Heading.
        below: Line below the heading.
        chapters: Sections; those with the same `page` are shown together, and empty ones are left out.
        notes: General remarks.

    Raises:
        ConfigError: Plotly is not installed.
    """
    pages: dict[str, list[Section]] = {}
    for section in chapters:
        if not section.is_empty:
            pages.setdefault(section.page, []).append(section)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=title,
            subtitle=below,
            remarks=notes,
            pages=pages,
            version=__version__,
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            label=row_label,
            heading=heading,
            plotly=packed_plotly(),
        )
    )


def sections(
    cells: Sequence[Finished], comparisons: Sequence[Comparison] = (), tables: Sequence[Table] | None = None
) -> list[Section]:
    """Return the sections of the report, including empty ones; see `page`."""
    groups = grouped(cells)
    chosen = representative(groups)
    if tables is None:
        tables = build_tables(frame_of(cell.result for cell in cells))
    chapters = [*measures(groups, comparisons), compute(groups, OVERVIEW)]
    if comparisons:
        grids = [comparison_grid(comparisons)]
        chapters.append(Section("comparisons", "How certain the differences are", OVERVIEW, grids=grids))
    ordered = _in_order(tables)
    for name in dict.fromkeys(group.cell.data.name for group in groups):
        own = [table for table in ordered if list(table.data) == [name]]
        chapters += _data_sections(name, groups, chosen, own)
    others = [table for table in ordered if len(table.data) != 1]
    chapters.append(Section("tables", "Tables of several data sets", TABLES, tables=others))
    if any(group.points for group in groups):
        intro = ["Under the leaded gradient a point belongs to several voxels, to each with a weight between 0 and 1."]
        chapters.append(attempted(Section("relations", "Points and voxels", VOXELS, intro=intro), relations.relations))
    return [*chapters, provenance(cells), checks(cells)]


def _data_sections(
    name: str, all_groups: Sequence[Group], representatives: Sequence[Group], tables: Sequence[Table]
) -> list[Section]:
    """Return the page of one data set: its attacks, the decisions of its victims, and examples of its samples."""
    key = "data-" + re.sub(r"[^A-Za-z0-9]+", "-", name)
    attacks = Section(key, f"Attacks on {name}", name, tables=tables)
    decisions, examples = Section(f"{key}-decisions", "Decisions", name), Section(f"{key}-examples", "Examples", name)
    groups = [group for group in all_groups if group.cell.data.name == name]
    names = class_names(groups[0].any_result)
    attempted(attacks, partial(curves.curves, eps_sweeps(groups)))
    groups = _readable(groups, attacks)
    chosen = _readable([group for group in representatives if group.cell.data.name == name], attacks)
    attempted(attacks, partial(curves.iterations, groups))
    iterative = any((arm.result.cell.attack.steps or 1) > 1 for group in groups for arm in group.arms.values())
    if iterative and curves.ITERATIONS not in [figure.title for figure in attacks.figures]:
        attacks.notes.append(
            "There is no plot by iteration: for images it needs --history, and older versions did not record it."
        )
    attempted(decisions, partial(architecture.architecture, chosen, eps_sweeps(groups)))
    attempted(decisions, partial(execution.execution_maps, chosen, names))
    attempted(decisions, partial(execution.execution_planes, chosen, names))
    points = any(group.points for group in chosen)
    show = cloud_examples.cloud_examples if points else image_examples.image_examples
    if chosen and not any(kept_ids(arm.folder) for group in chosen for arm in group.arms.values()):
        examples.notes.append("No samples can be shown: these results were saved without examples.")
    attempted(examples, partial(show, chosen, names))
    return [attacks, decisions, examples]


def _readable(groups: Sequence[Group], section: Section) -> list[Group]:
    """Return the groups without results whose rows cannot be read; a note names each of them."""
    readable = []
    for group in groups:
        arms = {name: finished for name, finished in group.shown.items() if _is_readable(finished, section)}
        random = arms.pop(RANDOM, None)
        readable += [replace(group, arms=arms, random=random)] if arms else []
    return readable


def _is_readable(finished: Finished, section: Section) -> bool:
    try:
        finished.rows()
    except ResultError as error:
        note = f"Left out of the pictures: {error}."
        section.notes += [note] if note not in section.notes else []
        return False
    return True


def _in_order(tables: Sequence[Table]) -> list[Table]:
    """Return the paper's tables in the paper's order, then the others."""
    order = list(paper_tables())
    return sorted(tables, key=lambda table: order.index(table.name) if table.name in order else len(order))
