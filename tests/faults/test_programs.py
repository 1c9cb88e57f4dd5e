"""Faults of the world around a run: signals, killed workers and drivers, full and read-only disks, rivals, clocks,
a scheduler that is not there. In each case a sentence, nothing lost, and the next run completes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from forked import Done, Zygote
from small_run import write_small_run

from ntkdist.store import RunStore

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and changing users needs root")
LOCAL = ("--workers", "2")


def chunks(folder: Path) -> dict[tuple[int, int], tuple[int, int]]:
    """Time and inode of every finished tile's file."""
    store = RunStore(folder / "a.zarr", mode="r+")
    if store.identity is None:
        return {}
    tiles = store.tiles
    stats = {(r.i, r.j): tiles.chunk_path(r.i, r.j).stat() for r in tiles.receipts()}
    return {place: (stat.st_mtime_ns, stat.st_ino) for place, stat in stats.items()}


def matrix(folder: Path) -> dict[tuple[int, int], int]:
    """The checksum of every tile."""
    return {(r.i, r.j): r.checksum for r in RunStore(folder / "a.zarr").tiles.receipts()}


@pytest.fixture(scope="module")
def undisturbed(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], int]:
    folder = write_small_run(tmp_path_factory.mktemp("undisturbed"))
    done = zygote.run("run", "c.yaml", cwd=folder)
    assert done.code == 0, done.err
    return matrix(folder)


def completes(zygote: Zygote, folder: Path, undisturbed: dict[tuple[int, int], int], *more: str) -> None:
    """The same command again ends with the undisturbed bits and writes no finished tile again."""
    before = chunks(folder)
    done = zygote.run("run", "c.yaml", *more, cwd=folder)
    assert done.code == 0, done.err
    after = chunks(folder)
    assert {place: after[place] for place in before} == before, "a finished tile was written again"
    assert matrix(folder) == undisturbed
    assert not list((folder / "a.zarr").rglob("*.partial"))


@pytest.mark.parametrize(
    ("name", "signum", "moment"),
    [
        ("INTERRUPT", signal.SIGINT, "receipt.written:2"),
        ("TERMINATE", signal.SIGTERM, "receipt.written:3"),
        ("HANGUP", signal.SIGHUP, "inputs.block:2"),
        ("TERMINATE", signal.SIGTERM, "stage.spectrum.before:1"),
    ],
)
def test_a_signal_is_a_sentence_its_exit_code_and_a_resume(
    zygote: Zygote, small_run: Path, undisturbed: dict[tuple[int, int], int], name: str, signum: int, moment: str
) -> None:
    stopped = zygote.run("run", "c.yaml", cwd=small_run, **{f"NTKDIST_{name}_AT": moment})
    assert stopped.code == 128 + signum, stopped.err
    assert "start the same command again" in stopped.sentence
    assert (small_run / "a.zarr" / ".lock").read_text() == ""
    completes(zygote, small_run, undisturbed)


@pytest.mark.parametrize("moment", ["inputs.block:1", "tile.written:3", "receipt.before:3", "receipt.written:4"])
def test_a_killed_driver_is_resumed(
    zygote: Zygote, small_run: Path, undisturbed: dict[tuple[int, int], int], moment: str
) -> None:
    killed = zygote.run("run", "c.yaml", cwd=small_run, NTKDIST_KILL_AT=moment)
    assert killed.code == -signal.SIGKILL, killed.err
    completes(zygote, small_run, undisturbed)


def test_workers_killed_in_mid_tile_lose_those_tiles_only(
    zygote: Zygote, small_run: Path, undisturbed: dict[tuple[int, int], int]
) -> None:
    # Every worker stops in its third tile and is killed there by its process number; another one takes its place.
    pid = zygote.start("run", "c.yaml", *LOCAL, cwd=small_run, NTKDIST_STOP_AT="tile.computed:3")
    killed = 0
    while (program := psutil.Process(pid)).status() != psutil.STATUS_ZOMBIE:
        for child in program.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.status() == psutil.STATUS_STOPPED:
                    child.kill()
                    killed += 1
        time.sleep(0.05)
    done = zygote.wait(pid)
    assert done.code == 0, done.err
    assert killed >= 1
    assert matrix(small_run) == undisturbed


def test_a_scheduler_that_is_not_there_is_exit_5_within_its_timeout(zygote: Zygote, small_run: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ["cluster.type=address", f"cluster.address=tcp://127.0.0.1:{port}", "cluster.connect_timeout=1"]
    start = time.monotonic()
    done = zygote.run("run", "c.yaml", *(a for s in settings for a in ("--set", s)), cwd=small_run)
    assert done.code == 5, done.err
    assert "No Dask scheduler answers" in done.sentence
    assert time.monotonic() - start < 60


def test_two_writers_the_second_is_exit_3_with_the_firsts_pid(
    zygote: Zygote, small_run: Path, undisturbed: dict[tuple[int, int], int]
) -> None:
    first = zygote.start("run", "c.yaml", cwd=small_run, NTKDIST_STOP_AT="receipt.before:2")
    deadline = time.monotonic() + 120
    while psutil.Process(first).status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.02)
    for command in (["run", "c.yaml"], ["verify", "a.zarr", "--repair"], ["append", "a.zarr", "d.npz"]):
        second = zygote.run(*command, cwd=small_run)
        assert second.code == 3, second.err
        assert f"process {first} on host {socket.gethostname()}" in second.sentence
    os.kill(first, signal.SIGCONT)
    done = zygote.wait(first)
    assert done.code == 0, done.err
    assert matrix(small_run) == undisturbed


@pytest.mark.parametrize("shift", [-86400.0, 86400.0])
def test_a_wrong_clock_has_no_effect(
    zygote: Zygote, small_run: Path, undisturbed: dict[tuple[int, int], int], shift: float
) -> None:
    killed = zygote.run("run", "c.yaml", cwd=small_run, NTKDIST_KILL_AT="receipt.written:2")
    assert killed.code == -signal.SIGKILL
    before = chunks(small_run)
    # A process of its own: every library must take the shifted clock from its first import on.
    shifted = f"import time; real = time.time; time.time = lambda: real() + {shift}; import ntkdist.cli as c; c.main()"
    command = [sys.executable, "-c", shifted, "run", "c.yaml"]
    done = subprocess.run(command, cwd=small_run, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert {place: chunks(small_run)[place] for place in before} == before
    assert matrix(small_run) == undisturbed


@pytest.mark.parametrize("limit", [200, 700, 1500])
def test_a_file_size_limit_is_exit_4_and_is_resumed(
    zygote: Zygote, small_run: Path, undisturbed: dict[tuple[int, int], int], limit: int
) -> None:
    stopped = zygote.run("run", "c.yaml", cwd=small_run, NTKDIST_TEST_FSIZE=str(limit))
    assert stopped.code == 4, stopped.err
    assert "ran full" in stopped.sentence
    done = zygote.run("run", "c.yaml", cwd=small_run)
    assert done.code == 0, done.err
    assert matrix(small_run) == undisturbed


@contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[None]:
    subprocess.run(["mount", *arguments, str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


@ROOT_ONLY
def test_a_full_disk_is_exit_4_and_is_resumed_when_there_is_room(
    zygote: Zygote, small_run: Path, undisturbed: dict[tuple[int, int], int]
) -> None:
    place = small_run / "a.zarr"
    killed = zygote.run("run", "c.yaml", cwd=small_run, NTKDIST_KILL_AT="inputs.done:1")
    assert killed.code == -signal.SIGKILL
    inside = small_run / "inside"
    place.rename(inside)
    place.mkdir()
    with mounted(place, "-t", "tmpfs", "-o", "size=400k", "tmpfs"):
        subprocess.run(["cp", "-a", f"{inside}/.", str(place)], check=True)
        ballast = place / "ballast.partial.keep"
        with ballast.open("wb") as file:
            file.write(bytes(max(0, _free(place) - 8192)))
        full = zygote.run("run", "c.yaml", cwd=small_run)
        assert full.code == 4, full.err
        assert "ran full" in full.sentence
        ballast.unlink()
        completes(zygote, small_run, undisturbed)


def _free(place: Path) -> int:
    stat = os.statvfs(place)
    return stat.f_bavail * stat.f_frsize


@ROOT_ONLY
@pytest.mark.parametrize("moment", ["inputs.block:1", "receipt.written:2"])
def test_a_read_only_disk_is_exit_2_and_is_resumed(
    zygote: Zygote, small_run: Path, undisturbed: dict[tuple[int, int], int], moment: str
) -> None:
    zygote.run("run", "c.yaml", cwd=small_run, NTKDIST_KILL_AT=moment)
    place = small_run / "a.zarr"
    subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
        refused = zygote.run("run", "c.yaml", cwd=small_run)
        assert refused.code == 2, refused.err
        assert "cannot be written" in refused.sentence
    finally:
        subprocess.run(["umount", str(place)], check=True)
    completes(zygote, small_run, undisturbed)


@ROOT_ONLY
def test_another_users_store_is_exit_2_but_can_be_inspected(zygote: Zygote, small_run: Path) -> None:
    assert zygote.run("run", "c.yaml", cwd=small_run).code == 0
    for folder in (small_run, *small_run.parents[:2]):
        folder.chmod(0o755)
    refused: Done = zygote.run("verify", "a.zarr", "--repair", cwd=small_run, NTKDIST_TEST_UID="65534")
    assert refused.code == 2, refused.err
    assert "cannot be written" in refused.sentence
    seen = zygote.run("verify", "a.zarr", "--json", cwd=small_run, NTKDIST_TEST_UID="65534")
    assert seen.code == 0, seen.err


@ROOT_ONLY
def test_an_immutable_store_is_exit_2(zygote: Zygote, small_run: Path) -> None:
    zygote.run("run", "c.yaml", cwd=small_run, NTKDIST_KILL_AT="inputs.done:1")
    files = [str(p) for p in (small_run / "a.zarr").rglob("*")] + [str(small_run / "a.zarr")]
    if subprocess.run(["chattr", "+i", *files], capture_output=True, check=False).returncode:
        pytest.fail("this file system knows no immutable files: run the fault tests on ext4, xfs or btrfs")
    try:
        refused = zygote.run("run", "c.yaml", cwd=small_run)
        assert refused.code == 2, refused.err
        assert "cannot be written" in refused.sentence
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)
    assert zygote.run("run", "c.yaml", cwd=small_run).code == 0


def test_a_stale_lock_is_taken_over_and_another_hosts_asks_for_unlock(
    zygote: Zygote, small_run: Path, undisturbed: dict[tuple[int, int], int]
) -> None:
    zygote.run("run", "c.yaml", cwd=small_run, NTKDIST_KILL_AT="receipt.written:2")
    lock = small_run / "a.zarr" / ".lock"
    assert socket.gethostname() in lock.read_text()
    lock.write_text('{"pid": 1, "host": "elsewhere"}')
    refused = zygote.run("run", "c.yaml", cwd=small_run)
    assert refused.code == 3
    assert "--unlock" in refused.sentence
    completes(zygote, small_run, undisturbed, "--unlock")


def test_an_append_killed_anywhere_is_finished_by_the_same_command(zygote: Zygote, small_run: Path) -> None:
    assert zygote.run("run", "c.yaml", cwd=small_run).code == 0
    x = np.random.default_rng(9).standard_normal((7, 3))
    np.savez(small_run / "new.npz", x=x, y=x[:, 0])
    for moment in ("append.commit", "append.committed", "append.grown", "append.rows", "append.done", "tile.written"):
        killed = zygote.run("append", "a.zarr", "new.npz", cwd=small_run, NTKDIST_KILL_AT=f"{moment}:1")
        assert killed.code in (-signal.SIGKILL, 0), killed.err
    done = zygote.run("append", "a.zarr", "new.npz", "--json", cwd=small_run)
    assert done.code == 0, done.err
    store = RunStore(small_run / "a.zarr")
    assert store.identity is not None
    assert store.identity.n == 37
    assert not store.tiles.missing()
    assert zygote.run("verify", "a.zarr", "--json", cwd=small_run).code == 0
    again = zygote.run("run", "c.yaml", "--json", cwd=small_run)
    assert again.code == 0, again.err
