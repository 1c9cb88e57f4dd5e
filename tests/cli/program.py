"""The program as a user runs it: a subprocess."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parents[2]


def ntkdist(
    *arguments: str, cwd: Path, module: str = "ntkdist", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ntkdist …`` and capture what it prints."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


# What takes seconds and is tested in process, for runs that are about something else.
LEAN = {
    "theory": {"two_layer": False, "sizes": [], "ensemble_rows": 0, "times": [1.0], "passes": 1},
    "predict": {"nngp": False, "variance_rows": 0},
}


def write_config(folder: Path, rows: int = 240, **changes: object) -> Path:
    """A small run of digits in ``folder``: six tiles."""
    x, y = load_digits(return_X_y=True)
    np.savez(folder / "d.npz", x=x[:rows], y=y[:rows])
    tree = {"data": {"path": "d.npz"}, "gram": {"tile": 80}, "store": "a.zarr", **changes}
    (folder / "c.yaml").write_text(yaml.safe_dump(tree))
    return folder / "c.yaml"


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error, after checking that it is one line and no traceback."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("ntkdist: ")]
    assert "Traceback" not in done.stderr, done.stderr
    assert len(lines) == 1, done.stderr
    return lines[0]
