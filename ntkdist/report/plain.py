"""Text that came from a user's data, made harmless for a place that shows plain text.

Names of files, classes and columns are data: they may hold terminal escapes, bidirectional overrides that make a
line read backwards, or characters that no XML document may contain. :func:`plain` removes these and nothing else;
escaping for HTML, Markdown, CSV or mathtext is done where the text enters that format.
"""

from __future__ import annotations

import unicodedata

_LIMIT = 2000
_REMOVED = {"Cc", "Cs", "Co", "Cn"}
_STEERING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0xFEFF}
"""Marks that reorder the text around them, so that what is read is not what is there."""


def plain(text: object, limit: int = _LIMIT) -> str:
    """``text`` on one line, without control, bidirectional or unassigned characters, at most ``limit`` long."""
    line = " ".join(str(text)[: 4 * limit].split())
    kept = "".join(c for c in line if unicodedata.category(c) not in _REMOVED and ord(c) not in _STEERING)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def figure_text(text: object, limit: int = 24) -> str:
    """``plain`` text for matplotlib: every ``$`` is escaped, so that none opens a formula."""
    return plain(text, limit).replace("$", r"\$")
