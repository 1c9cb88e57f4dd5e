"""Files of the report are whole or not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ntkdist.report import FIGURES, write_figures, write_report


def test_the_report_replaces_an_older_one(results: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "deep" / "digits.html"
    assert write_report({}, target) == target
    write_report(results, str(target))
    assert target.read_text(encoding="utf-8").endswith("</html>\n")
    assert [p.name for p in target.parent.iterdir()] == ["digits.html"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_report_and_no_orphan(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "digits.html"
    target.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_report({}, target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["digits.html"]


def test_every_figure_has_png_svg_and_csv(results: dict[str, Any], tmp_path: Path) -> None:
    written = write_figures(results, tmp_path / "figures")
    figures = [figure.name for figure in FIGURES if not figure.optional]
    assert [p.name for p in written] == [f"{name}.{kind}" for name in figures for kind in ("png", "svg", "csv")]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    del results["solution"]
    assert len(write_figures(results, tmp_path / "fewer")) == len(written) - 3
