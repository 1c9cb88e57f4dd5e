"""Writing the report and its figures so that a reader never finds half a file.

Each file is written beside its place under a temporary name, flushed to the disk, and renamed over the old
one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from ntkdist.report.csv_text import csv_text
from ntkdist.report.figures import FIGURES, LIGHT, Plot, png, svg
from ntkdist.report.page import render_html
from ntkdist.report.reading import Results


def write_report(results: Results, path: str | Path) -> Path:
    """Write the HTML report to ``path`` and return it; raises OSError if the disk refuses."""
    return replace_file(Path(path), render_html(results).encode("utf-8"))


def write_figures(results: Results, folder: str | Path, plots: Sequence[Plot] = FIGURES) -> list[Path]:
    """Write PNG, SVG and CSV of each figure that there is data for; returns the files in order."""
    written = []
    for plot in plots:
        figure = plot.draw(results, LIGHT)
        if figure is None:
            continue
        stem = Path(folder) / plot.name
        for suffix, content in (
            (".png", png(figure, LIGHT.paper)),
            (".svg", svg(figure).encode("utf-8")),
            (".csv", csv_text(plot.data(results)).encode("utf-8")),
        ):
            written.append(replace_file(stem.with_suffix(suffix), content))
    return written


def replace_file(path: Path, content: bytes) -> Path:
    """Write ``content`` beside ``path``, flush it to the disk and rename it over; returns ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.partial")
    try:
        # os.open with O_EXCL and not mkstemp: the report is to be as readable as any file its user writes.
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path
