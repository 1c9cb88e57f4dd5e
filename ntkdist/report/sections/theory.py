"""The statements of the theory: value, interval, grade, and whether what each theorem assumes holds here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ntkdist.report.reading import Results, items, number, section
from ntkdist.report.rows import Row, row
from ntkdist.report.value import format_ends, format_value

VERDICTS = {True: "holds", False: "does not hold", None: "unknown"}


def statements(results: Results) -> list[Mapping[str, Any]]:
    """The statements of the document, in its order."""
    return [s for s in items(section(results, "theory").get("statements")) if isinstance(s, Mapping)]


def assumptions(statement: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(text, "holds" | "does not hold" | "unknown", evidence) of each premise."""
    found = [a for a in items(statement.get("assumptions")) if isinstance(a, Mapping)]
    return [(str(a.get("text", "")), _verdict(a.get("holds")), str(a.get("evidence") or "")) for a in found]


def theory_rows(results: Results) -> tuple[Row, ...]:
    """One row per statement; conventions that several share are written once, below, under a letter."""
    found = statements(results)
    conventions = [str(s.get("convention") or "") for s in found]
    shared = [c for c in dict.fromkeys(conventions) if c and conventions.count(c) > 1]
    letters = {c: chr(ord("A") + i % 26) for i, c in enumerate(shared)}
    rows = [_statement(s, letters) for s in found]
    rows += [row(f"Convention {letter}", text) for text, letter in letters.items()]
    return tuple(rows)


def with_unit(text: str, unit: object) -> str:
    """``text`` followed by its unit; a pure number has none."""
    return text if unit in (None, "", "1") else f"{text} {unit}"


def value_text(statement: Mapping[str, Any]) -> str:
    """Value with the digits its interval supports, and unit; an unresolved value has no unit."""
    ends = [statement.get(key) for key in ("value", "lower", "upper")]
    return with_unit(format_value(*ends, ends=False), None if ends[0] is None else statement.get("unit"))


def error_text(statement: Mapping[str, Any]) -> str:
    """Interval and grade; nothing where there is no number to grade."""
    ends = format_ends(statement.get("lower"), statement.get("upper"))
    if not ends and number(statement.get("value")) is None:
        return ""
    return ", ".join(part for part in (ends, str(statement.get("grade") or "no certificate")) if part)


def premises_text(statement: Mapping[str, Any]) -> str:
    """``premises: 2 hold, 1 does not hold, 1 unknown``."""
    verdicts = [verdict for _, verdict, _ in assumptions(statement)]
    counts = [(verdicts.count(v), v) for v in VERDICTS.values() if v in verdicts]
    if not counts:
        return ""
    return "premises: " + ", ".join(f"{n} {'hold' if v == 'holds' and n > 1 else v}" for n, v in counts)


def _statement(statement: Mapping[str, Any], letters: Mapping[str, str]) -> Row:
    convention = str(statement.get("convention") or "")
    told = f"convention {letters[convention]}" if convention in letters else convention
    note = "; ".join(part for part in (str(statement.get("note") or ""), premises_text(statement), told) if part)
    name = statement.get("name") or statement.get("key") or "unnamed"
    return row(name, value_text(statement), error_text(statement), note)


def _verdict(holds: object) -> str:
    return VERDICTS[holds] if isinstance(holds, bool) else VERDICTS[None]
