"""Live progress bars with ETA for the long stages, on stderr."""

from __future__ import annotations

import time

from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as RichProgress,
)
from rich.text import Text

from ntkdist.cli.console import err

_LINE_EVERY_SECONDS = 30.0


class Bars:
    """One bar per stage; a plain line per stage where stderr is not a terminal."""

    def __init__(self) -> None:
        self._live = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=28),
            _Amount(),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=err,
            transient=False,
            disable=not err.is_terminal,
        )
        self._task: TaskID | None = None
        self._began = self._told = 0.0
        self._name = ""

    def __enter__(self) -> Bars:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def start(self, stage: str, total: float | None, unit: str) -> None:
        """Begin the bar of a stage (the bar of an unfinished one is closed)."""
        if self._task is not None:
            self.finish()
        self._name, self._began = stage, time.perf_counter()
        self._told = self._began
        self._task = self._live.add_task(stage, total=total, unit=unit, detail="")

    def update(self, done: float, detail: str = "") -> None:
        """Move the bar."""
        if self._task is not None:
            self._live.update(self._task, completed=done, detail=detail)
            now = time.perf_counter()
            if not err.is_terminal and now - self._told >= _LINE_EVERY_SECONDS:
                self._told = now
                err.print(self._line(done, detail, now - self._began), markup=False, soft_wrap=True)

    def _line(self, done: float, detail: str, seconds: float) -> str:
        """Where a stage stands, for the log of a batch job."""
        task = next(t for t in self._live.tasks if t.id == self._task)
        rate = done / seconds
        of, left = "", ""
        if task.total:
            of = f" of {_human(task.total)}"
            left = f", {(task.total - done) / rate:.0f} s left" if rate else ""
        return f"{self._name}: {_human(done)}{of} {task.fields['unit']}, {_human(rate)}/s{left} {detail}".rstrip()

    def finish(self) -> None:
        """Complete the bar."""
        if self._task is None:
            return
        task = next(t for t in self._live.tasks if t.id == self._task)
        self._live.update(self._task, total=task.total or task.completed, completed=task.total or task.completed)
        self._live.stop_task(self._task)
        if not err.is_terminal:
            seconds = time.perf_counter() - self._began
            unit = task.fields["unit"]
            err.print(f"{self._name}: {_human(task.completed)} {unit} in {seconds:.1f} s", markup=False)
        self._task = None


class _Amount(ProgressColumn):
    """Done, total and rate in the stage's unit."""

    def render(self, task: Task) -> Text:
        total = "" if task.total is None else f"/{_human(task.total)}"
        speed = task.finished_speed or task.speed
        rate = f" · {_human(speed)}/s" if speed else ""
        return Text(f"{_human(task.completed)}{total} {task.fields['unit']}{rate}")


def _human(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:.3g}" if value != int(value) else f"{int(value)}"
