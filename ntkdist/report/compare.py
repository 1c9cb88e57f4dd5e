"""Several runs side by side on one page: every quantity a row, every run a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ntkdist.report.page import CSP, environment, title
from ntkdist.report.plain import plain
from ntkdist.report.reading import Results, missing, section
from ntkdist.report.rows import Row
from ntkdist.report.summary import summary_rows

_ABSENT = Row("", "–")


@dataclass(frozen=True)
class Line:
    """A quantity with its cell in every run; ``differs`` if the values are not all the same text."""

    name: str
    cells: tuple[Row, ...]

    @property
    def differs(self) -> bool:
        """Whether the runs disagree on it."""
        return len({cell.value for cell in self.cells}) > 1


@dataclass(frozen=True)
class Block:
    """The lines of one section of the summary."""

    title: str
    lines: tuple[Line, ...]


def compare_html(list_of_results: Sequence[Results]) -> str:
    """One page for several results documents; differing values are marked."""
    runs = [
        {
            "title": title(results),
            "run": plain(results.get("run") or "not recorded"),
            "kernel": plain(section(results, "kernel").get("description") or "kernel not recorded"),
            "missing": missing(results),
        }
        for results in list_of_results
    ]
    return environment().get_template("compare.html").render(csp=CSP, runs=runs, blocks=_blocks(list_of_results))


def _blocks(documents: Sequence[Results]) -> list[Block]:
    columns = [
        {section.title: {row.name: row for row in section.rows} for section in summary_rows(document)}
        for document in documents
    ]
    titles = dict.fromkeys(t for column in columns for t in column if t != "Missing")
    blocks = []
    for part in titles:
        names = dict.fromkeys(name for column in columns for name in column.get(part, {}))
        lines = (Line(name, tuple(c.get(part, {}).get(name, _ABSENT) for c in columns)) for name in names)
        blocks.append(Block(part, tuple(lines)))
    return blocks
