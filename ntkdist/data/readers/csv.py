"""Numeric text tables: comma-, semicolon-, tab- or space-separated, with or without a header line.

The target is the column named ``y`` in the header, else the last column. One pass over the file when it is opened
checks every line and remembers where every 2,048th row begins; blocks are then read from there.
"""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ntkdist.data.source import Source
from ntkdist.errors import InputError

_STRIDE = 2048
Floats = NDArray[np.float64]


def open_csv(path: Path, x: str, y: str) -> Source:
    """Open a numeric table; the last column (or the one named ``y``) is the target."""
    return CsvSource(path, y)


class CsvSource:
    """Rows of a text table; in memory are the targets and one offset for every 2,048 rows."""

    def __init__(self, path: Path, y: str) -> None:
        self.name = str(path)
        self._path = path
        with path.open("rb") as file:
            first = _text(path, next(filter(_holds_a_row, file), b""), 1)
        if not first.strip():
            raise InputError(f"{path} is empty.")
        self._delimiter = next((d for d in (",", ";", "\t") if d in first), None)
        names = next(csv.reader([first.strip()], delimiter=self._delimiter)) if self._delimiter else first.split()
        self._header = not all(_is_number(name) for name in names)
        self._columns = len(names)
        if self._columns < 2:
            raise InputError(f"{path} needs two or more columns (features, then the target).")
        labels = [name.strip().strip('"') for name in names]
        self._target = labels.index(y) if self._header and y in labels else self._columns - 1
        self._offsets: list[int] = []
        values = self._scan()
        self.n, self.features, self.has_targets = len(values), self._columns - 1, True
        self.shape: tuple[int, ...] = (self.features,)
        if self.n == 0:
            raise InputError(f"{path} needs at least one row besides its header.")
        whole = np.isfinite(values).all() and np.all(values == np.round(values)) and np.all(np.abs(values) < 2**53)
        self._values: NDArray[np.float64] | NDArray[np.int64] = values.astype(np.int64) if whole else values

    def rows(self, start: int, stop: int) -> Floats:
        """Rows start…stop−1, (stop − start, features) float64."""
        table = self._table(start, min(stop, self.n))
        return np.ascontiguousarray(np.delete(table, self._target, axis=1))

    def targets(self, start: int, stop: int) -> NDArray[np.float64] | NDArray[np.int64]:
        """Targets start…stop−1."""
        return self._values[start:stop]

    def _table(self, start: int, stop: int) -> Floats:
        with self._path.open("rb") as file:
            file.seek(self._offsets[start // _STRIDE])
            lines = (line for line in file if _holds_a_row(line))
            wanted = list(islice(lines, start % _STRIDE, start % _STRIDE + stop - start))
        return self._parse(wanted, start)

    def _scan(self) -> Floats:
        parts: list[Floats] = []
        with self._path.open("rb") as file:
            if self._header:
                while not _holds_a_row(file.readline()):
                    continue
            while True:
                block: list[bytes] = []
                while len(block) < _STRIDE:
                    here = file.tell()
                    line = file.readline()
                    if not line:
                        break
                    if _holds_a_row(line):
                        if not block:
                            self._offsets.append(here)
                        block.append(line)
                if not block:
                    return np.concatenate(parts) if parts else np.empty(0)
                parts.append(self._parse(block, sum(map(len, parts)))[:, self._target].copy())

    def _parse(self, lines: list[bytes], first_row: int) -> Floats:
        text = [_text(self._path, line, first_row + k + 1) for k, line in enumerate(lines)]
        try:
            table = np.loadtxt(text, delimiter=self._delimiter, ndmin=2, dtype=np.float64, comments="#", quotechar='"')
        except ValueError:
            raise InputError(self._bad_line(text, first_row)) from None
        if table.shape[1] != self._columns:
            raise InputError(self._bad_line(text, first_row))
        return table

    def _bad_line(self, text: list[str], first_row: int) -> str:
        for k, line in enumerate(text):
            cells = line.split("#")[0].strip()
            parts = cells.split(self._delimiter) if self._delimiter else cells.split()
            bad = next((c for c, cell in enumerate(parts) if not _is_number(cell)), None)
            if bad is not None:
                what = f"{parts[bad].strip()!r} in column {bad} is no number"
            elif len(parts) != self._columns:
                what = f"it has {len(parts)} columns, the first line has {self._columns}"
            else:
                continue
            return f"{self._path} is not a table of numbers: row {first_row + k}: {what}; mend it."
        return f"{self._path} is not a table of numbers near row {first_row}; mend it."


def _holds_a_row(line: bytes) -> bool:
    return bool(line.split(b"#", 1)[0].strip())


def _text(path: Path, line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text (near line {number}), so it is not a CSV table.") from None


def _is_number(text: str) -> bool:
    try:
        float(text.strip().strip('"'))
    except ValueError:
        return False
    return True
