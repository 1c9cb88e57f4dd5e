"""``ntkdist compare RUN…``: several runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ntkdist.cli import options
from ntkdist.cli.console import out, plain, print_json
from ntkdist.report import compare_html, summary_rows


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Run stores to compare.", show_default=False)],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write an HTML comparison.")] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Compare the results of several runs: kernels, depths, datasets."""
    from ntkdist.pipeline.results import collect_results
    from ntkdist.store import RunStore, disk_errors

    documents = [collect_results(RunStore(run)) for run in runs]
    if output is not None:
        with disk_errors(output):
            output.write_text(compare_html(documents), encoding="utf-8")
    if json:
        print_json({"runs": documents})
        return
    table = Table(box=None)
    table.add_column("quantity", style="cyan", no_wrap=True)
    for document in documents:
        table.add_column(Text(plain(str(document["run"]))), overflow="fold")
    for name, cells in _rows(documents):
        table.add_row(Text(plain(name)), *(Text(plain(cell)) for cell in cells))
    out.print(table)


def _rows(documents: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    columns = [
        {f"{section.title}: {row.name}": row.value for section in summary_rows(d) for row in section.rows}
        for d in documents
    ]
    names = list(dict.fromkeys(name for column in columns for name in column))
    return [(name, [column.get(name, "–") for column in columns]) for name in names]
