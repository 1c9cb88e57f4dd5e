"""What a run says while it works: bars and lines for people, or one JSON object a line for machines, on stderr."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from ntkdist.cli.bars import Bars
from ntkdist.cli.console import err, plain
from ntkdist.pipeline.progress import Progress

_EVERY_SECONDS = 2.0
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LogFormat(StrEnum):
    """How progress and events are written."""

    TEXT = "text"
    JSON = "json"


class JsonLines:
    """Progress as JSON objects: event, stage, done, total, unit, rate a second and seconds to go."""

    def __init__(self) -> None:
        self._stage, self._unit = "", ""
        self._total: float | None = None
        self._done = self._began = self._told = 0.0

    def start(self, stage: str, total: float | None, unit: str) -> None:
        """A stage begins."""
        self._stage, self._total, self._unit, self._done = stage, total, unit, 0.0
        self._began = self._told = time.perf_counter()
        _write("stage.start", stage=stage, total=total, unit=unit)

    def update(self, done: float, detail: str = "") -> None:
        """Some units are finished; told every two seconds."""
        self._done = done
        now = time.perf_counter()
        if now - self._told < _EVERY_SECONDS:
            return
        self._told = now
        rate = done / (now - self._began)
        left = None if not self._total or not rate else (self._total - done) / rate
        _write(
            "progress",
            stage=self._stage,
            done=done,
            total=self._total,
            unit=self._unit,
            per_second=rate,
            seconds_left=left,
            detail=detail,
        )

    def finish(self) -> None:
        """The stage is over."""
        seconds = time.perf_counter() - self._began
        _write("stage.finish", stage=self._stage, done=self._done, unit=self._unit, seconds=seconds)


class _Events(logging.Handler):
    """Events of the engine: a line of text, or a JSON object with the event's fields."""

    def __init__(self, form: LogFormat) -> None:
        super().__init__(logging.INFO)
        self._form = form

    def emit(self, record: logging.LogRecord) -> None:
        """Write one event."""
        if self._form is LogFormat.TEXT:
            err.print(plain(record.getMessage()), markup=False, highlight=False, soft_wrap=True)
            return
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        event = fields.pop("event", "log")
        _write(event, level=record.levelname.lower(), message=record.getMessage(), **fields)


@contextmanager
def reported(form: LogFormat) -> Iterator[Progress]:
    """Send events to stderr in this form while a command runs; gives the progress to hand to the run."""
    logger, handler = logging.getLogger("ntkdist"), _Events(form)
    level, spread = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        if form is LogFormat.JSON:
            yield JsonLines()
        else:
            with Bars() as bars:
                yield bars
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = spread


def _write(event: str, **fields: Any) -> None:
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
    sys.stderr.write(json.dumps(line, default=str) + "\n")
    sys.stderr.flush()
