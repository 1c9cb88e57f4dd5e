"""A sweep runs every point of its grid once, compares them, and tells of a refused point after the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client

from flows.sweep import parse_grid, points, sweep
from ntkdist.config import RunConfig, parse_config
from ntkdist.errors import InputError
from ntkdist.pipeline.run import run

pytestmark = pytest.mark.usefixtures("prefect_server")


def config(folder: Path) -> RunConfig:
    rng = np.random.default_rng(0)
    np.savez(folder / "d.npz", x=rng.standard_normal((40, 4)), y=rng.standard_normal(40))
    theory = {"two_layer": False, "sizes": [], "ensemble_rows": 0, "times": [1.0], "passes": 1}
    return parse_config(
        {
            "data": {"path": str(folder / "d.npz")},
            "theory": theory,
            "predict": {"nngp": False, "variance_rows": 0},
            "store": str(folder / "a.zarr"),
        }
    )


def bands() -> int:
    with get_client(sync_client=True) as client:
        return sum(run.name.startswith("gram band") for run in client.read_task_runs())


def test_every_point_is_the_run_of_its_configuration_and_is_not_repeated(tmp_path: Path) -> None:
    grid = parse_grid(["kernel.depth=2", "kernel.activation=relu,erf"])
    results = sweep(config(tmp_path), grid)
    assert list(results) == ["depth=2,activation=relu", "depth=2,activation=erf"]
    tree = config(tmp_path).model_dump(mode="json", exclude_unset=True)
    alone = run(parse_config(tree, ["kernel.depth=2", "kernel.activation=erf", f"store={tmp_path}/b.zarr"]))
    assert results["depth=2,activation=erf"]["spectrum"]["lambda_min"] == alone["spectrum"]["lambda_min"]
    page = (tmp_path / "a-sweep.html").read_text()
    assert page.count("depth=") >= 2
    assert "λ_min" in page
    assert Artifact.get("ntk-sweep") is not None
    before = bands()
    assert sweep(config(tmp_path), grid).keys() == results.keys()
    assert bands() == before


def test_a_refused_point_is_told_after_the_others_ran(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 of 2 points were refused, first activation=rleu: .*unknown activation"):
        sweep(config(tmp_path), {"kernel.activation": ["rleu", "relu"]})
    assert (tmp_path / "a-activation=relu.html").exists()
    assert (tmp_path / "a-sweep.html").exists()


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ([], "The grid is empty"),
        (["kernel.depth"], "not of the form"),
        (["kernel.depth=1", "kernel.depth=2"], "twice"),
        (["kernel.depth=1,1"], "Two points of the grid are called depth=1"),
        (["kernel.deep=1"], "point deep=1"),
        (["kernel.depth.x=1"], "depth has no fields"),
    ],
)
def test_a_grid_that_means_nothing_is_refused(tmp_path: Path, grid: list[str], sentence: str) -> None:
    (tmp_path / "d.npz").touch()
    base = parse_config({"data": {"path": "d.npz"}, "kernel": {"depth": 2}})
    with pytest.raises(InputError, match=sentence):
        points(base, parse_grid(grid))


def test_commas_inside_brackets_belong_to_the_value() -> None:
    assert parse_grid(["kernel.activation=abrelu(1,2),relu"]) == {"kernel.activation": ["abrelu(1,2)", "relu"]}
