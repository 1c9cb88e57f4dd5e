"""Figures, the self-contained HTML report, and the summary rows, from the results document of a run."""

from ntkdist.report.compare import compare_html
from ntkdist.report.figures import FIGURES, Plot
from ntkdist.report.markdown import to_markdown
from ntkdist.report.page import render_html
from ntkdist.report.rows import Row, Section
from ntkdist.report.summary import summary_rows
from ntkdist.report.value import format_value
from ntkdist.report.write import write_figures, write_report

__all__ = [
    "FIGURES",
    "Plot",
    "Row",
    "Section",
    "compare_html",
    "format_value",
    "render_html",
    "summary_rows",
    "to_markdown",
    "write_figures",
    "write_report",
]
