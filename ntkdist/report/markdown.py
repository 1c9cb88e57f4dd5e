"""The summary as Markdown, for a workflow's artifact; every cell is escaped."""

from __future__ import annotations

from ntkdist.report.escape_markdown import escape_markdown
from ntkdist.report.reading import Results, missing, section
from ntkdist.report.summary import summary_rows


def to_markdown(results: Results) -> str:
    """Headings and tables of the summary; an unfinished run says so at the top."""
    source = section(results, "data").get("source") or results.get("run") or "run"
    lines = [f"# NTK analysis: {escape_markdown(source)}", ""]
    if missing(results):
        lines += ["**Unfinished run**: the last table says what is missing.", ""]
    for part in summary_rows(results):
        lines += [
            f"## {escape_markdown(part.title)}",
            "",
            "| quantity | value | error | note |",
            "|---|---|---|---|",
        ]
        for row in part.rows:
            cells = (escape_markdown(cell) for cell in (row.name, row.value, row.error, row.note))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)
