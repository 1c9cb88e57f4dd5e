"""The statements of the theory as the page shows them: each with premises, source and convention."""

from __future__ import annotations

from dataclasses import dataclass

from ntkdist.report.plain import plain
from ntkdist.report.reading import Results
from ntkdist.report.sections.theory import assumptions, error_text, statements, value_text

_GROUPS = {
    "Training": ("rate", "half_life", "time_to_", "stable_step", "best_step", "condition_number", "steps_to_"),
    "Generalization": ("norm_per_row", "sqrt_bound", "rademacher", "arora_bound", "cao_gu"),
    "Risk without a test set": ("loo_", "gcv", "effective_dimension", "learning_curve"),
    "Width asked for by the theorems": ("width_", "lambda_min_scaling"),
}
_MARKS = {"holds": "✓", "does not hold": "✗", "unknown": "?"}
_CLASSES = {"holds": "yes", "does not hold": "no", "unknown": "open"}


@dataclass(frozen=True)
class Premise:
    """What a theorem assumes: ``verdict`` in words, ``mark`` and ``style`` for the page, ``evidence``."""

    text: str
    verdict: str
    mark: str
    style: str
    evidence: str


@dataclass(frozen=True)
class Bound:
    """One statement, all text."""

    group: str
    name: str
    value: str
    error: str
    formula: str
    source: str
    convention: str
    note: str
    premises: tuple[Premise, ...]


def bounds(results: Results) -> tuple[Bound, ...]:
    """All statements, in the order of the document."""
    return tuple(
        Bound(
            _group(str(s.get("key"))),
            plain(s.get("name") or s.get("key") or "unnamed"),
            plain(value_text(s)),
            plain(error_text(s)),
            plain(s.get("formula") or ""),
            plain(s.get("source") or "no source recorded"),
            plain(s.get("convention") or "no convention recorded"),
            plain(s.get("note") or ""),
            tuple(
                Premise(plain(text), verdict, _MARKS[verdict], _CLASSES[verdict], plain(evidence))
                for text, verdict, evidence in assumptions(s)
            ),
        )
        for s in statements(results)
    )


def grouped(shown: tuple[Bound, ...]) -> list[tuple[str, list[Bound]]]:
    """The statements under their headings, headings in reading order."""
    names = (*_GROUPS, "Other statements")
    return [(name, found) for name in names if (found := [b for b in shown if b.group == name])]


def _group(key: str) -> str:
    for name, starts in _GROUPS.items():
        if key.startswith(starts):
            return name
    return "Other statements"
