"""The summary of a run: its sections in reading order, from what the document holds."""

from __future__ import annotations

from ntkdist.report.reading import Results, missing
from ntkdist.report.rows import Section, row
from ntkdist.report.sections.computation import gram_rows, solution_rows
from ntkdist.report.sections.inputs import data_rows, kernel_rows
from ntkdist.report.sections.performance import performance_rows
from ntkdist.report.sections.predictions import prediction_rows
from ntkdist.report.sections.provenance import provenance_rows, timing_rows
from ntkdist.report.sections.spectrum import spectrum_rows
from ntkdist.report.sections.theory import theory_rows
from ntkdist.report.sections.widths import width_fit_rows, width_guidance_rows, width_table_rows

_SECTIONS = (
    ("Data", data_rows),
    ("Kernel", kernel_rows),
    ("Gram matrix", gram_rows),
    ("Spectrum", spectrum_rows),
    ("Weights", solution_rows),
    ("Theory", theory_rows),
    ("Predictions", prediction_rows),
    ("Width: exponents", width_fit_rows),
    ("Width: narrow, wide, infinite", width_table_rows),
    ("Width: what to do", width_guidance_rows),
    ("Time by stage", timing_rows),
    ("Performance", performance_rows),
    ("Provenance", provenance_rows),
)


def summary_rows(results: Results) -> list[Section]:
    """The sections the document has rows for; what is missing is the last section of an unfinished run."""
    sections = [Section(title, rows) for title, build in _SECTIONS if (rows := build(results))]
    absent = missing(results)
    if absent:
        lines = [sentence.partition(": ") for sentence in absent]
        sections.append(Section("Missing", tuple(row(name, what) for name, _, what in lines)))
    return sections
