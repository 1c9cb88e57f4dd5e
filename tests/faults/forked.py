"""The program in forks of a warm process: started, waited for, killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Done:
    """How a program ended: like ``subprocess``, a signal is a negative code."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line of an error; a traceback fails."""
        lines = [line for line in self.err.splitlines() if line.startswith("ntkdist: ")]
        assert "Traceback" not in self.err, self.err
        assert len(lines) == 1, self.err
        return lines[0]


class Zygote:
    """The warm process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        self._logs: dict[int, Path] = {}
        assert self._answer() == "ready"

    def start(self, *argv: str, cwd: Path, **environment: str) -> int:
        """Start ``ntkdist argv…``; returns its pid."""
        log = cwd / f"log-{len(self._logs)}"
        self._ask({"argv": list(argv), "cwd": str(cwd), "env": environment, "log": str(log)})
        pid = int(self._answer())
        self._logs[pid] = log
        return pid

    def wait(self, pid: int, seconds: float = 80.0) -> Done:
        """Wait for a program to end; one that does not fails the test."""
        self._ask({"wait": pid, "seconds": seconds})
        code = int(self._answer())
        log = self._logs[pid]
        assert code != -1000, f"the program did not end in {seconds} s: {Path(f'{log}.err').read_text()}"
        return Done(code, Path(f"{log}.out").read_text(), Path(f"{log}.err").read_text())

    def run(self, *argv: str, cwd: Path, **environment: str) -> Done:
        """Run ``ntkdist argv…`` to its end."""
        return self.wait(self.start(*argv, cwd=cwd, **environment))

    def close(self) -> None:
        """End the warm process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _ask(self, request: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
