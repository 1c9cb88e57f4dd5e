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
        title = Text(plain(section.title), style="bold")
        table = Table(title=title, title_justify="left", show_header=False, box=None)
        table.add_column(style="cyan", max_width=34, overflow="fold")
        table.add_column(overflow="fold")
        for row in section.rows:
            cell = Text(plain(row.value))
            if row.error:
                cell.append(f"  {plain(row.error)}", style="green")
            if row.note:
                cell.append(f"\n{plain(row.note)}", style="dim")
            table.add_row(Text(plain(row.name)), cell)
        out.print(table)
        out.print()
