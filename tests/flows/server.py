"""A real Prefect server and a process worker, each a process of its own, for the tests of deployments."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

REPOSITORY = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float, what: str, every: float = 0.2) -> Any:
    """The first true value of ``condition``; AssertionError after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")


def environment(home: Path, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "PREFECT_HOME": str(home),
        "NTKDIST_HOME": str(REPOSITORY),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "MPLCONFIGDIR": str(home / "mpl"),
    }


@contextmanager
def running(
    arguments: list[str], env: dict[str, str], log: Path, module: str = "prefect"
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process group of its own, ended with everything it started."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=env,
            cwd=REPOSITORY,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            kill(process, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                kill(process, signal.SIGKILL)
                process.wait(10)


def kill(process: subprocess.Popen[bytes], signum: int) -> None:
    """Send a signal to the process and everything in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signum)


def healthy(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def command(env: dict[str, str], *arguments: str, module: str = "prefect") -> str:
    """Run a command to its end; its output, or AssertionError with it."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
