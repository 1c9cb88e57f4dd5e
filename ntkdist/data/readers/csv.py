"""Numeric text tables: comma-, semicolon-, tab- or space-separated, with or without a header line.

The target is the column named ``y`` in the header, else the last column.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ntkdist.data.source import ArraySource, Source
from ntkdist.errors import InputError


def open_csv(path: Path, x: str, y: str) -> Source:
    """Read a numeric table; the last column (or the one named ``y``) is the target."""
    with path.open(encoding="utf-8", errors="strict", newline="") as file:
        try:
            first = file.readline()
        except UnicodeDecodeError:
            raise InputError(f"{path} is not UTF-8 text, so it is not a CSV table.") from None
    if not first.strip():
        raise InputError(f"{path} is empty.")
    delimiter = next((d for d in (",", ";", "\t") if d in first), None)
    names = next(csv.reader([first.strip()], delimiter=delimiter)) if delimiter else first.split()
    header = not all(_is_number(name) for name in names)
    try:
        table = np.loadtxt(path, delimiter=delimiter, skiprows=int(header), ndmin=2, dtype=np.float64, comments="#")
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a table of numbers: {error}.") from None
    if table.shape[0] == 0 or table.shape[1] < 2:
        raise InputError(f"{path} needs at least one row and two columns (features, then the target).")
    labels = [name.strip().strip('"') for name in names]
    target = labels.index(y) if header and y in labels else table.shape[1] - 1
    values = table[:, target]
    whole = bool(np.all(np.isfinite(values)) and np.all(values == np.round(values)) and np.all(np.abs(values) < 2**53))
    return ArraySource(str(path), np.delete(table, target, axis=1), values.astype(np.int64) if whole else values)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
