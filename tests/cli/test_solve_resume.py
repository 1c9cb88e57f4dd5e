"""A killed solve goes on from its checkpoint, to the bits of an undisturbed one; many ridges through the program."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
from program import LEAN, ntkdist, write_config

from ntkdist.store import RunStore

SOLVE = {"method": "cg", "rtol": 1e-10, "rank": 10, "preconditioner": "low-rank"}


def test_a_solve_killed_at_its_second_checkpoint_resumes_to_the_same_bits(tmp_path: Path) -> None:
    results = {}
    for name, kill in (("whole", {}), ("killed", {"NTKDIST_KILL_AT": "solve.checkpoint:2"})):
        folder = tmp_path / name
        folder.mkdir()
        write_config(folder, solve=SOLVE, spectrum={"certificate": "residual"}, **LEAN)
        first = ntkdist("run", "c.yaml", "--json", cwd=folder, **kill)
        if kill:
            assert first.returncode == -signal.SIGKILL, first.stderr
            store = RunStore(folder / "a.zarr")
            states = [s.result for slot in (0, 1) if (s := store.stage(f"checkpoint-{slot}")) is not None]
            assert sorted(s["passes"] for s in states) == [10, 20]
            assert states[0]["about"]["method"] == "cg"
            assert store.stage("solution") is None
            first = ntkdist("run", "c.yaml", "--json", cwd=folder)
        assert first.returncode == 0, first.stderr
        store = RunStore(folder / "a.zarr")
        assert store.stage("checkpoint-0") is None
        results[name] = (json.loads(first.stdout)["solution"], store.stage_array("solution", "weights"))
    (whole, weights), (killed, again) = results["whole"], results["killed"]
    assert whole["passes"] == killed["passes"] > 20
    assert whole["history"] == killed["history"]
    np.testing.assert_array_equal(weights, again)
    assert max(killed["residual_norms"]) <= 1e-10
    assert killed["residual_of"] == "stored"


def test_a_list_of_ridges_is_solved_for_and_theory_takes_the_first(tmp_path: Path) -> None:
    write_config(
        tmp_path,
        solve={**SOLVE, "ridge": [1.0, 10.0, 0.1], "rtol": 1e-8},
        gram={"tile": 80, "storage": "float32"},
        **LEAN,
    )
    done = ntkdist("run", "c.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    solution = json.loads(done.stdout)["solution"]
    assert solution["ridge"] == 1.0
    assert [p["ridge"] for p in solution["path"]] == [1.0, 10.0, 0.1]
    assert all(p["residual_norm"] <= 1e-8 for p in solution["path"])
    assert solution["path"][1]["train_mse"] > solution["path"][0]["train_mse"] > solution["path"][2]["train_mse"]
    store = RunStore(tmp_path / "a.zarr")
    paths = store.stage_array("solution", "ridge_weights")
    np.testing.assert_array_equal(paths[0], store.stage_array("solution", "weights"))
    assert store.stage("preconditioner") is not None
