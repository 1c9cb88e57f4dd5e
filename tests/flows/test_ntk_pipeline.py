"""The flow does what the command line does, on Prefect's own test server."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from sklearn.datasets import load_digits

from flows.ntk_pipeline import ntk_pipeline
from ntkdist.config import RunConfig, parse_config
from ntkdist.errors import InputError
from ntkdist.pipeline.run import run
from ntkdist.store import RunStore

pytestmark = pytest.mark.usefixtures("prefect_server")


def config(folder: Path, *overrides: str) -> RunConfig:
    x, y = load_digits(return_X_y=True)
    np.savez(folder / "d.npz", x=x[:240], y=y[:240])
    tree = {"data": {"path": str(folder / "d.npz")}, "gram": {"tile": 80}, "store": str(folder / "a.zarr")}
    return parse_config(tree, overrides)


def task_runs() -> list[str]:
    with get_client(sync_client=True) as client:
        return [run.name for run in client.read_task_runs()]


def test_the_flow_gives_the_command_lines_results_and_leaves_artifacts(tmp_path: Path) -> None:
    results = ntk_pipeline(config(tmp_path))
    direct = run(config(tmp_path, f"store={tmp_path}/b.zarr"))
    assert results["complete"]
    assert results["spectrum"]["lambda_min"] == direct["spectrum"]["lambda_min"]
    assert results["predictions"]["metrics"] == direct["predictions"]["metrics"]
    names = task_runs()
    assert [n for n in sorted(names) if n.startswith("gram band")] == ["gram band 0", "gram band 1", "gram band 2"]
    assert "read rows 0-240" in names
    assert any(name.startswith("write x_train block") for name in names)
    for stage in ("prepare", "spectrum", "solve", "theory", "predict", "report"):
        assert any(stage in name for name in names), stage
    artifact = Artifact.get("ntk-summary")
    assert artifact is not None
    assert "λ\\_min" in str(artifact.data)
    assert Artifact.get("ntk-results") is not None


def test_a_second_flow_run_computes_no_band_again(tmp_path: Path) -> None:
    ntk_pipeline(config(tmp_path))
    bands = sum(name.startswith("gram band") for name in task_runs())
    tiles = RunStore(tmp_path / "a.zarr").tiles
    tiles.forget([(2, 0)])
    assert ntk_pipeline(config(tmp_path))["complete"]
    assert sum(name.startswith("gram band") for name in task_runs()) == bands + 1


def test_a_refusal_is_a_failed_run_with_its_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(InputError, match="unknown activation"):
        ntk_pipeline(config(tmp_path, "kernel.activation=rleu"))
    assert "Traceback" not in caplog.text
    assert "unknown activation" in caplog.text
