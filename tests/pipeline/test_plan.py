"""The planner: sizes, hours from measured rates, GPUs by their data sheets, and what cannot fit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ntkdist.config import RunConfig
from ntkdist.errors import InputError
from ntkdist.pipeline import fit
from ntkdist.pipeline.calibrate import Rates
from ntkdist.pipeline.fit import refuse_unfit
from ntkdist.pipeline.forecast import choose_mode, forecast, pass_seconds
from ntkdist.pipeline.gpus import GPUS, find_gpu
from ntkdist.pipeline.plan import Imagined, make_plan
from ntkdist.tiling import Tiling

RATES = Rates(tile=1e9, gemm=1e11, product=2e9, write=1e9, read=2e9)


def config(folder: Path, **changes: object) -> RunConfig:
    rng = np.random.default_rng(0)
    np.savez(folder / "d.npz", x=rng.standard_normal((300, 5)), y=rng.standard_normal(300))
    tree = {"data": {"path": str(folder / "d.npz")}, "store": str(folder / "a.zarr"), **changes}
    return RunConfig.model_validate(tree)


# G entries/s of tiles by the roofline of the data sheets: (float32, float64) at 64, 784 and 3072 features.
ROOFLINE = {
    "a100": ((81, 10, 3), (59, 10, 3)),
    "h100": ((198, 33, 9), (119, 30, 9)),
    "h200": ((238, 34, 9), (162, 32, 9)),
    "b200": ((327, 41, 11), (163, 21, 5)),
}


@pytest.mark.parametrize("name", sorted(GPUS))
def test_a_gpu_s_tiles_follow_the_roofline(name: str) -> None:
    for dtype, expected in zip(("float32", "float64"), ROOFLINE[name], strict=True):
        found = [find_gpu(name.upper()).tile_entries(d, dtype) / 1e9 for d in (64, 784, 3072)]
        np.testing.assert_allclose(found, expected, rtol=0.06, atol=0.5)


def test_a_pass_costs_what_its_slowest_part_costs() -> None:
    entries = 4e9
    assert pass_seconds(entries, 8, "resident", RATES) == pytest.approx(2)
    assert pass_seconds(entries, 8, "streamed", RATES) == pytest.approx(16)
    assert pass_seconds(entries, 8, "recomputed", RATES) == pytest.approx(6)
    assert choose_mode(entries, 8, 4e10, RATES) == "resident"
    assert choose_mode(entries, 8, 1e9, RATES) == "recomputed"
    assert choose_mode(entries, 1, 1e9, RATES) == "streamed"


def test_hours_are_the_sum_of_the_stages() -> None:
    found = forecast(
        n=1000, entries=5e5, itemsize=8, stored=True, mode="resident", rank=50, rtol=1e-8, rigorous=True, rates=RATES
    )
    assert found["seconds"]["certificate"] == pytest.approx(1e9 / 3 / 1e11)
    assert found["seconds"]["gram"] == pytest.approx(5e5 * 8 / 1e9)
    assert found["passes"]["solve"] == 40
    assert found["hours"] * 3600 == pytest.approx(sum(found["seconds"].values()))


def test_a_plan_measures_and_keeps_nothing(tmp_path: Path) -> None:
    plan = make_plan(config(tmp_path))
    assert plan["n_train"] == 240
    assert plan["mode"] == "resident"
    assert min(plan["rates"].values()) > 0
    assert not plan["warnings"]
    assert [p.name for p in tmp_path.iterdir()] == ["d.npz"]


def test_imagined_workers_and_gpus_scale_what_they_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ntkdist.pipeline.plan.calibrate", lambda calibration, client: (RATES, 1))
    eight = make_plan(config(tmp_path), Imagined(workers=8))
    assert eight["rates"]["tile"] == 8 * RATES.tile
    assert eight["rates"]["write"] == RATES.write
    assert "times 8" in eight["rates_from"]
    gpus = make_plan(config(tmp_path), Imagined(gpus=64, gpu="h200"))
    assert gpus["rates"]["tile"] == pytest.approx(64 * GPUS["h200"].tile_entries(5, "float64"))
    assert gpus["workers"] == 64
    with pytest.raises(InputError, match="Unknown GPU 'voodoo'; the planner knows a100"):
        make_plan(config(tmp_path), Imagined(gpus=1, gpu="voodoo"))


def test_without_measuring_there_are_sizes_but_no_hours(tmp_path: Path) -> None:
    plan = make_plan(config(tmp_path), measure=False)
    assert plan["gram_bytes"] > 0
    assert "hours" not in plan


@pytest.mark.parametrize(
    ("gram", "cluster", "sentence"),
    [
        ({"mode": "resident"}, {}, "Resident tiles take 4.01e+05 GB, but"),
        ({"mode": "resident"}, {"type": "local", "memory_limit": "4GB"}, "the workers may hold 2.4 GB"),
        ({"tile": 20000}, {"type": "local", "memory_limit": "1GB"}, "choose a smaller gram.tile"),
        ({}, {}, "The store needs 4.01e+05 GB"),
    ],
)
def test_what_cannot_fit_is_refused_in_a_sentence(
    tmp_path: Path, gram: dict[str, object], cluster: dict[str, object], sentence: str
) -> None:
    asked = config(tmp_path, gram=gram, cluster=cluster)
    huge = Tiling(10_000_000, 20000)
    free = 1e9 if not gram else float("inf")
    with pytest.raises(InputError, match=re.escape(sentence)):
        refuse_unfit(asked, huge, huge.n, 5, free)
    refuse_unfit(config(tmp_path), Tiling(240, 80), 300, 5, 1e12)


def test_the_solver_s_vectors_are_part_of_what_must_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small:
        available = total = 1e6

    monkeypatch.setattr(fit.psutil, "virtual_memory", Small)
    with pytest.raises(InputError, match="The solver needs"):
        refuse_unfit(config(tmp_path), Tiling(10_000, 10), 10_000, 1, float("inf"))


def test_hints_name_the_cheaper_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_disk = Rates(tile=1e9, gemm=1e4, product=2e9, write=1e9, read=1e3)
    monkeypatch.setattr("ntkdist.pipeline.plan.calibrate", lambda calibration, client: (slow_disk, 1))
    monkeypatch.setattr("ntkdist.pipeline.plan._memory", lambda config, imagined: (1e9, 10.0))
    warnings = " ".join(make_plan(config(tmp_path))["warnings"])
    assert "--set spectrum.certificate=probabilistic" in warnings
    assert "--set gram.mode=recomputed" in warnings
