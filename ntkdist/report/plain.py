"""Text that came from a user's data, made harmless for a place that shows plain text.

Names of files, classes and columns are data: they may hold terminal escapes, bidirectional overrides that
make a line read backwards, or characters that no XML document may contain. :func:`plain` removes these and
nothing else; escaping for HTML, Markdown, CSV or mathtext is done where the text enters that format.
"""

from __future__ import annotations

_LIMIT = 2000


def plain(text: object, limit: int = _LIMIT) -> str:
    """``text`` on one line of ``limit`` at most, of printable characters and single spaces only."""
    spaced = (" " if c.isspace() else c for c in str(text)[: 4 * limit])
    line = " ".join("".join(c for c in spaced if c.isprintable()).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def figure_text(text: object, limit: int = 24) -> str:
    """``plain`` text for matplotlib: every ``$`` is escaped, so that none opens a formula."""
    return plain(text, limit).replace("$", r"\$")
