"""Columns as CSV (RFC 4180) that a spreadsheet does not execute.

A text cell that starts with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return is a formula to a
spreadsheet (OWASP, CSV injection); it gets an apostrophe in front. Numbers are written with 17 digits and
stay numbers.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ntkdist.report.plain import plain

_FORMULA = ("=", "+", "-", "@", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_text(columns: Mapping[str, Sequence[Any]]) -> str:
    """Named columns of equal length as text; None and NaN are empty cells."""
    assert len({len(column) for column in columns.values()}) <= 1, "columns differ in length"
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow([cell(name) for name in columns])
    for row in zip(*columns.values(), strict=True):
        writer.writerow([cell(value) for value in row])
    return buffer.getvalue()


def cell(value: object) -> str:
    """One cell: a number as it is, text made inert."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.17g}"
    if isinstance(value, int):
        return str(value)
    text = plain(value)
    return "'" + text if text.lstrip("\"' ").startswith(_FORMULA) else text
