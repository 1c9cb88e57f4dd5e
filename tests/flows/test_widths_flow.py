"""The width study's flow gives the command line's results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect.client.orchestration import get_client

from flows.widths import width_study
from ntkdist.config import RunConfig, parse_config
from ntkdist.errors import InputError
from ntkdist.pipeline.widths import run_widths

pytestmark = pytest.mark.usefixtures("prefect_server")


def config(folder: Path, store: str, **widths: Any) -> RunConfig:
    rng = np.random.default_rng(0)
    np.savez(folder / "d.npz", x=rng.standard_normal((30, 4)), y=rng.standard_normal(30))
    study = {"widths": [8, 16, 32], "seeds": [0], "parameterizations": ["ntk", "mup"], "steps": 10, "rows": 12}
    return parse_config(
        {
            "data": {"path": str(folder / "d.npz")},
            "kernel": {"depth": 1},
            "widths": study | widths,
            "store": str(folder / store),
        }
    )


def test_the_flow_gives_the_command_lines_study(tmp_path: Path) -> None:
    results = width_study(config(tmp_path, "a.zarr"))
    direct = run_widths(config(tmp_path, "b.zarr"))
    for one, other in zip(results["widths"]["studies"], direct["widths"]["studies"], strict=True):
        assert one["fits"] == other["fits"]
    with get_client(sync_client=True) as client:
        names = {run.name for run in client.read_task_runs()}
    assert {"networks ntk", "networks mup"} <= names


def test_a_refusal_is_a_failed_run_with_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="have one name"):
        width_study(config(tmp_path, "a.zarr", parameterizations=["ntk", "ntk"]))
