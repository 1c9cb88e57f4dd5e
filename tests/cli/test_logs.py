"""What a run says while it works, for people and for machines."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from program import LEAN, ntkdist, write_config

from ntkdist.cli import bars, logs
from ntkdist.cli.bars import Bars
from ntkdist.cli.logs import JsonLines, LogFormat, reported


def test_json_lines_tell_every_stage_and_the_dashboard(tmp_path: Path) -> None:
    write_config(tmp_path, **LEAN)
    done = ntkdist("run", "c.yaml", "--log-format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"time", "event"} <= set(event) for event in events)
    started = [e["stage"] for e in events if e["event"] == "stage.start"]
    assert {"gram", "spectrum", "solve"} <= set(started)
    cluster = next(e for e in events if e["event"] == "cluster")
    assert cluster["dashboard"].startswith("http://127.0.0.1:")
    gram = next(e for e in events if e["event"] == "stage.finish" and e["stage"] == "gram")
    assert gram["done"] == 3 * 80 * 32 + 3 * 80 * 80 - 80 * 32 + 32 * 32


def test_progress_carries_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_EVERY_SECONDS", 0.0)
    progress = JsonLines()
    progress.start("gram", 100.0, "entries")
    progress.update(50.0, "half")
    progress.start("solve", None, "passes")
    progress.update(3.0)
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    half = events[1]
    assert half["seconds_left"] == pytest.approx(50 / half["per_second"])
    assert events[3]["seconds_left"] is None


def test_a_batch_job_s_log_gets_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "_LINE_EVERY_SECONDS", 0.0)
    with Bars() as shown:
        shown.start("gram", 2e6, "entries")
        shown.update(1e6)
        shown.start("solve", None, "passes")
        shown.update(7, "residual 1e-3")
    text = capsys.readouterr().err
    assert "gram: 1M of 2M entries, " in text
    assert " s left" in text
    assert "residual 1e-3" in text


def test_events_are_shown_only_while_a_command_runs(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("ntkdist.cluster")
    with reported(LogFormat.TEXT):
        logger.info("a worker [red]joined")
    logger.info("not shown")
    text = capsys.readouterr().err
    assert "a worker [red]joined" in text
    assert "not shown" not in text
