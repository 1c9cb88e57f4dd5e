"""Text for a Markdown cell: what would be markup becomes a backslash escape or a character reference."""

from __future__ import annotations

import re

from ntkdist.report.plain import plain

_ESCAPED = re.compile(r"([\\`*_{}\[\]#~$|!])")
_REFERENCES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_LINKS = (("://", "&#58;//"), ("www.", "www&#46;"), ("WWW.", "WWW&#46;"))
"""GitHub's Markdown turns bare addresses into links; a name in the data should not become one."""


def escape_markdown(text: object) -> str:
    """``text`` as inert Markdown on one line."""
    found = "".join(_REFERENCES.get(c, c) for c in plain(text))
    found = _ESCAPED.sub(r"\\\1", found.replace("&#64;", "\0")).replace("\0", "&#64;")
    for bare, inert in _LINKS:
        found = found.replace(bare, inert)
    return found
