"""The program as a user runs it: in a process of its own where it is to die or to be signalled, else in this one."""

from __future__ import annotations

import contextlib
import io
import os
import signal
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
    """Run ``python -m ntkdist …`` and capture what it prints; with an environment of its own, in its own process."""
    if module == "ntkdist" and not environment:
        return _here(arguments, cwd)
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _here(arguments: tuple[str, ...], cwd: Path) -> subprocess.CompletedProcess[str]:
    """The same without a new process: two seconds of imports less."""
    from ntkdist.cli import app

    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    argv, sys.argv = sys.argv, ["ntkdist", *arguments]
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = app._run(app.app, "ntkdist", list(arguments))
    finally:
        sys.argv = argv
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return subprocess.CompletedProcess(["ntkdist", *arguments], code, out.getvalue(), err.getvalue())


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
