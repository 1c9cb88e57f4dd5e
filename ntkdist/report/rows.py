"""The rows every surface shows: terminal table, Markdown artifact and HTML page say the same, word for word.

A row is plain text without markup: the quantity's name, its value with unit and with the digits its error
supports, the error (interval and certificate grade), and a note (convention, source, reason).
"""

from __future__ import annotations

from dataclasses import dataclass

from ntkdist.report.plain import plain


@dataclass(frozen=True)
class Row:
    """One quantity: ``value`` with unit, ``error`` (interval, grade), ``note`` (convention, reason)."""

    name: str
    value: str
    error: str = ""
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Rows under one title."""

    title: str
    rows: tuple[Row, ...]


def row(name: object, value: object, error: object = "", note: object = "") -> Row:
    """A row of cleaned text."""
    return Row(plain(name), plain(value), plain(error), plain(note))
