"""Runs of these tests do not draw their report again and again: a page takes as long as all the rest of a small run.

Fixtures of a module are made before this, so the runs they share have real pages; ``tests/report`` tests the page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def mark(results: dict[str, Any], path: Path) -> Path:
        path.write_text(f"the report of {results['run']}", encoding="utf-8")
        return path

    monkeypatch.setattr("ntkdist.pipeline.run.write_report", mark)
