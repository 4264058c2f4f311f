"""`lgm-bench show`: one result in full, or a list of all results in a folder."""

from pathlib import Path
from typing import Annotated

import typer

from lgm_bench.cli import options as opt
from lgm_bench.cli.output import show as print_table
from lgm_bench.cli.output import show_json
from lgm_bench.errors import ConfigError


def show(
    results: Annotated[Path, typer.Argument(help="A results folder, a cell's folder or a result.json.")],
    cell: Annotated[
        str | None,
        typer.Argument(
            help='A folder\'s name, the beginning of a fingerprint, or words such as "dynconv8 eps4 lgm".',
            show_default="a list of all cells",
        ),
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Print a line for every sample.")] = False,
    samples: Annotated[
        str | None,
        typer.Option(help="Print only the samples that have fallen, or only those that survived: fallen or survived."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the rows as CSV, with all their columns.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Show one result in full: figures, configuration, checks, provenance, adaptive units, notable samples.

    Without a cell, list all results of the folder.

    Examples:

    [dim]$[/] lgm-bench show results

    [dim]$[/] lgm-bench show results "dynconv8 fgsm eps4 lgm"

    [dim]$[/] lgm-bench show results 8b4d2b0c --samples fallen

    [dim]$[/] lgm-bench show results 8b4d2b0c --csv
    """
    from lgm_bench.cli.views.one_result import full_result, results_table
    from lgm_bench.cli.views.row_tables import chosen_rows, rows_csv, rows_table
    from lgm_bench.results.reading import find_cell, read_results

    finished = read_results(results)
    if cell is None and len(finished) > 1:
        if rows or samples or as_csv:
            raise ConfigError("--rows, --samples and --csv show one cell; name it after the folder")
        if as_json:
            show_json([one.result.model_dump(mode="json") for one in finished])
        else:
            print_table(results_table(finished))
        return
    one = finished[0] if cell is None else find_cell(finished, cell)
    table = chosen_rows(one.rows(), samples)
    if as_csv:
        print(rows_csv(table), end="")
    elif as_json:
        record = one.result.model_dump(mode="json")
        show_json({**record, "rows": table.to_pylist()} if rows or samples else record)
    else:
        print_table(rows_table(table) if rows or samples else full_result(one, table))
