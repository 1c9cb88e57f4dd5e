"""A run that is killed at a named moment resumes: finished tiles are kept, the end is the same to the bit.

A death at every single step of the disk is in tests/faults; here are the real program and its results.
"""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from program import LEAN, ntkdist, sentence, write_config

from ntkdist.store import RunStore


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], np.ndarray]:
    folder = tmp_path_factory.mktemp("undisturbed")
    write_config(folder, **LEAN)
    results = json.loads(ntkdist("run", "c.yaml", "--json", cwd=folder).stdout)
    return results, RunStore(folder / "a.zarr").stage_array("solution", "weights")


def chunks(folder: Path) -> dict[str, tuple[int, int]]:
    root = folder / "a.zarr" / "gram" / "c"
    return {str(p.relative_to(root)): (p.stat().st_mtime_ns, p.stat().st_ino) for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "moment",
    [
        "store.claim:1",
        "tile.written:4",
        "receipt.written:3",
        "stage.spectrum.before:1",
        "stage.solution.done:1",
        "report.done:1",
    ],
)
def test_a_run_killed_at_any_moment_resumes_to_the_same_bits(
    tmp_path: Path, moment: str, undisturbed: tuple[dict[str, object], np.ndarray]
) -> None:
    write_config(tmp_path, **LEAN)
    killed = ntkdist("run", "c.yaml", cwd=tmp_path, NTKDIST_KILL_AT=moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    store = RunStore(tmp_path / "a.zarr")
    done = {(r.i, r.j) for r in store.tiles.receipts()} if store.identity else set()
    before = chunks(tmp_path)
    resumed = ntkdist("run", "c.yaml", "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    after = chunks(tmp_path)
    for i, j in done:
        assert after[f"{i}/{j}"] == before[f"{i}/{j}"], "a finished tile was written again"
    results, weights = json.loads(resumed.stdout), RunStore(tmp_path / "a.zarr").stage_array("solution", "weights")
    expected, expected_weights = undisturbed
    np.testing.assert_array_equal(weights, expected_weights)
    assert results["spectrum"]["lambda_min"] == expected["spectrum"]["lambda_min"]
    assert results["theory"]["statements"] == expected["theory"]["statements"]
    assert not list((tmp_path / "a.zarr").rglob("*.partial"))


def test_ctrl_c_is_one_sentence_exit_130_and_resumes(tmp_path: Path) -> None:
    write_config(tmp_path, **LEAN)
    stopped = ntkdist("run", "c.yaml", cwd=tmp_path, NTKDIST_INTERRUPT_AT="receipt.written:6")
    assert stopped.returncode == 130, stopped.stderr
    assert "start the same command again" in sentence(stopped)
    finished = len(RunStore(tmp_path / "a.zarr").tiles.receipts())
    assert 0 < finished < 6
    resumed = ntkdist("run", "c.yaml", "--json", cwd=tmp_path)
    assert json.loads(resumed.stdout)["complete"]


def test_a_disk_that_fills_up_in_mid_run_is_exit_4_and_resumes(tmp_path: Path) -> None:
    write_config(tmp_path, **LEAN)
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3000k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        store = ["--set", f"store={place}/a.zarr", "--set", "gram.tile=30"]
        # The prediction leaves room for tiles and inputs only: something else takes it meanwhile.
        stopped = ntkdist("run", "c.yaml", *store, cwd=tmp_path, NTKDIST_KILL_AT="inputs.done:1")
        assert stopped.returncode == -signal.SIGKILL, stopped.stderr
        ballast = place / "ballast"
        ballast.write_bytes(bytes(2_700_000))
        full = ntkdist("run", "c.yaml", *store, cwd=tmp_path)
        assert full.returncode == 4, full.stderr
        assert "ran full" in sentence(full)
        ballast.unlink()
        assert ntkdist("run", "c.yaml", *store, cwd=tmp_path).returncode == 0
    finally:
        subprocess.run(["umount", str(place)], check=True)
