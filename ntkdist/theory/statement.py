"""What a theorem says about this data: a number with its bounds, its assumptions and its convention.

A bound without its assumptions is a rumour. Every number that leaves this room is a
:class:`Statement`: the value, the ends between which it is known to lie, the formula and the paper,
the convention in which a number like a time or a step has a meaning, the list of what the theorem
assumes with what was found of each on this data, and the grade of the certificate it inherits.
A number that the arithmetic does not resolve is ``None`` with a note that says why, never NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

GRADES = ("exact", "rigorous", "probabilistic", "residual", "estimate")
"""Certificate grades, strongest first; a statement carries the weakest grade of what it was made from."""

GRADIENT_FLOW = (
    "gradient flow df/dt = -Theta (f - y) on L = 1/2 sum (f - y)^2, summed over rows and outputs; "
    "with the mean loss L/n every time and every step is n times longer"
)
"""The time convention of all statements, spelled out wherever a time or a step leaves the room."""


@dataclass(frozen=True)
class Assumption:
    """One premise of a theorem: what it asks (``text``), whether it ``holds`` here, and how we know.

    ``holds`` is True or False where the premise was checked on this data, None where it cannot be.
    """

    text: str
    holds: bool | None
    evidence: str = ""


@dataclass(frozen=True)
class Statement:
    """A number of the theory with everything needed to quote it.

    ``lower <= true value <= upper`` as far as ``grade`` goes; an end that is None is unknown or
    infinite, and ``note`` says which. ``series`` holds named lists belonging to the number (the value
    per output, a curve), each float or None.
    """

    key: str
    name: str
    value: float | None
    lower: float | None
    upper: float | None
    unit: str
    formula: str
    source: str
    convention: str
    assumptions: tuple[Assumption, ...]
    grade: str
    note: str = ""
    series: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for end in (self.value, self.lower, self.upper):
            assert end is None or math.isfinite(end), f"{self.key}: {end} must be None with a note"
        assert self.value is not None or self.note, f"{self.key}: an unresolved value needs a note"
        if self.lower is not None and self.upper is not None:
            assert self.lower <= self.upper, f"{self.key}: ends [{self.lower}, {self.upper}] are crossed"

    @property
    def holds(self) -> bool | None:
        """False if a premise fails here, True if all were checked and hold, None if one is unchecked."""
        verdicts = [a.holds for a in self.assumptions]
        if False in verdicts:
            return False
        return None if None in verdicts else True

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and finite floats: ``json.dumps(..., allow_nan=False)`` takes it."""
        plain = asdict(self)
        plain["assumptions"] = [asdict(a) for a in self.assumptions]
        plain["series"] = {name: list(values) for name, values in self.series.items()}
        plain["holds"] = self.holds
        return plain


def weakest(*grades: str) -> str:
    """The weakest of some certificate grades; a grade this room does not know counts as weakest."""
    assert grades, "at least one grade"
    return max(grades, key=lambda g: GRADES.index(g) if g in GRADES else len(GRADES))
