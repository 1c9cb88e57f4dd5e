"""Inks of the figures on white and on dark paper; one quantity keeps one colour in every figure."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours as hex strings: ``ink`` for text, ``muted`` for axes, ``first`` … ``third`` for data."""

    name: str
    ink: str
    muted: str
    grid: str
    paper: str
    first: str
    second: str
    third: str
    colormap: str


LIGHT = Theme("light", "#1b2330", "#5a6473", "#dfe4eb", "#ffffff", "#1f5fa8", "#b8520a", "#2b7a57", "viridis")
DARK = Theme("dark", "#e8ebf0", "#a0aab8", "#39424f", "#171c24", "#7ab4ff", "#ffa561", "#74d1a8", "viridis")


_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_NEUTRAL = {"#000000"}


def repaint(document: str, old: Theme, new: Theme) -> str | None:
    """An SVG drawn in ``old`` with the colours of ``new``, or None where it holds colours of no theme (images, mixed
    colours): drawing is a hundred times slower than replacing names.
    """
    change = {getattr(old, name): getattr(new, name) for name in _INKS}
    if "<image" in document or not set(_COLOUR.findall(document)) <= change.keys() | _NEUTRAL:
        return None
    return _COLOUR.sub(lambda found: change.get(found[0], found[0]), document)


_INKS = ("ink", "muted", "grid", "paper", "first", "second", "third")
