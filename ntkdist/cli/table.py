"""The summary table of a run in the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from ntkdist.cli.console import out, plain
from ntkdist.report import summary_rows


def print_summary(results: dict[str, Any]) -> None:
    """Print the sections of the results document; text from data is never read as markup."""
    for section in summary_rows(results):
        table = Table(title=Text(plain(section.title), style="bold"), title_justify="left", show_header=False, box=None)
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_column(overflow="fold")
        table.add_column(style="dim", overflow="fold")
        for row in section.rows:
            cells = (row.name, row.value, row.error, row.note)
            table.add_row(*(Text(plain(cell)) for cell in cells))
        out.print(table)
        out.print()
