"""One writer at a time; a dead one's lock is given back by the kernel."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ntkdist.errors import StoreLocked
from ntkdist.store import writer_lock

HOLD = """
import sys, time
from pathlib import Path
from ntkdist.store import writer_lock
with writer_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_is_refused_with_the_first_ones_pid_and_host(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with (
            pytest.raises(StoreLocked, match=f"process {process.pid} on host {socket.gethostname()}"),
            writer_lock(tmp_path),
        ):
            pass
    finally:
        process.kill()
        process.wait()


def test_the_lock_of_a_killed_writer_is_taken_over(tmp_path: Path) -> None:
    process = holder(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with writer_lock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert (tmp_path / ".lock").read_text() == ""


def test_a_lock_left_by_another_host_asks_for_unlock(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text('{"pid": 7, "host": "elsewhere"}')
    with pytest.raises(StoreLocked, match=r"host elsewhere.*--unlock"), writer_lock(tmp_path):
        pass
    with writer_lock(tmp_path, unlock=True):
        pass
    (tmp_path / ".lock").write_text("not json")
    with pytest.raises(StoreLocked), writer_lock(tmp_path):
        pass
