"""Progress in the Prefect UI: one bar per stage, and a line in the run's log when a stage begins or ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

_EVERY = 5.0
"""Seconds between two updates of a bar: each is a request to the server."""


class UiProgress:
    """Reports the stages of the current flow run as progress artifacts; made inside of a flow run."""

    def __init__(self) -> None:
        self._log = get_run_logger()
        self._bar: UUID | None = None
        self._stage, self._unit, self._total = "", "", 0.0
        self._begun = self._told = time.monotonic()

    def start(self, stage: str, total: float | None, unit: str) -> None:
        """A stage begins; without a known total there is no bar."""
        self._stage, self._unit, self._total = stage, unit, total or 0.0
        self._begun = self._told = time.monotonic()
        self._bar = None
        if self._total:
            with self._unless_the_server_is_away():
                made = create_progress_artifact(progress=0.0, key=f"ntk-{stage}", description=f"{stage}, {unit}")
                assert isinstance(made, UUID)
                self._bar = made
        amount = f": {self._total:,.0f} {unit}" if self._total else ""
        self._log.info("%s begins%s", stage, amount)

    def update(self, done: float, detail: str = "") -> None:
        """Move the bar, at most every few seconds."""
        now = time.monotonic()
        if now - self._told < _EVERY:
            return
        self._told = now
        if self._bar is not None:
            percent = 100.0 * min(1.0, done / self._total)
            with self._unless_the_server_is_away():
                update_progress_artifact(self._bar, progress=percent, description=self._words(done, detail))
        else:
            self._log.info("%s: %s", self._stage, self._words(done, detail))

    def finish(self) -> None:
        """Fill the bar."""
        if self._bar is not None:
            with self._unless_the_server_is_away():
                update_progress_artifact(self._bar, progress=100.0, description=self._words(self._total, ""))
        self._log.info("%s ends after %.1f s", self._stage, time.monotonic() - self._begun)

    @contextmanager
    def _unless_the_server_is_away(self) -> Iterator[None]:
        """A bar that cannot be drawn is no reason to end a run."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told and the run goes on
            self._log.warning("the progress bar of %s could not be drawn: %s", self._stage, error)

    def _words(self, done: float, detail: str) -> str:
        rate = done / max(time.monotonic() - self._begun, 1e-9)
        return ", ".join(part for part in (f"{done:,.0f} {self._unit}", f"{rate:,.3g} {self._unit}/s", detail) if part)
