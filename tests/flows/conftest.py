"""Prefect's own test server, one for all flow tests of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(autouse=True)
def _no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page takes as long as all the rest of a small run; ``tests/report`` tests it."""

    def mark(results: dict[str, Any], path: Path) -> Path:
        path.write_text(f"the report of {results['run']}", encoding="utf-8")
        return path

    monkeypatch.setattr("ntkdist.pipeline.run.write_report", mark)
