"""How a stage tells a human where it stands; the command line draws bars, a flow logs, a library call is silent."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of one stage after another."""

    def start(self, stage: str, total: float | None, unit: str) -> None:
        """A stage begins; ``total`` units of work, or None when it is not known."""

    def update(self, done: float, detail: str = "") -> None:
        """``done`` units are finished."""

    def finish(self) -> None:
        """The stage is over."""


class Silent:
    """Reports nothing."""

    def start(self, stage: str, total: float | None, unit: str) -> None:
        """Ignore."""

    def update(self, done: float, detail: str = "") -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""
