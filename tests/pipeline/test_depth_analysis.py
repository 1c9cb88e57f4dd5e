"""The analysis of depth on real rows: against separate kernels of each depth, and its refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ntkdist.config import RunConfig
from ntkdist.errors import InputError
from ntkdist.kernels import Kernel
from ntkdist.kernels.depth import tiles_by_depth, with_depth
from ntkdist.pipeline.depth import depth_analysis
from ntkdist.report.depth import DEPTH_COLUMNS, depth_rows, depth_sentence, write_depth, write_depth_figures


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.standard_normal((50, 6)), y=rng.standard_normal(50))
    return RunConfig.model_validate(
        {
            "data": {"path": str(tmp_path / "d.npz"), "block_rows": 7},
            "kernel": {"activation": "erf", "sigma_w": 1.5, "sigma_b": 0.2, "input_scaling": "1/d"},
        }
    )


@pytest.mark.parametrize("which", ["ntk", "nngp"])
def test_one_pass_holds_the_tiles_of_every_depth(which):
    x = np.random.default_rng(1).standard_normal((9, 4))
    kernel = Kernel(2, "relu", 1.3, 0.3)
    for depth, tile in zip((1, 2, 5), tiles_by_depth(kernel, x, x, (1, 2, 5), which), strict=True):
        np.testing.assert_allclose(tile, with_depth(kernel, depth).tile(x, which=which), rtol=1e-13)


def test_spectra_are_those_of_kernels_of_each_depth(config):
    results = depth_analysis(config, (4, 1), rows=20)
    assert results["depths"] == [1, 4]
    assert results["rows"] == 20
    assert results["training_rows"] == 40
    assert results["correlation"]["phase"] == "chaotic"
    for part, curve in zip(results["spectra"], results["ntk"], strict=True):
        assert part["lambda_max"] == part["eigenvalues"][0]
        assert np.sum(part["eigenvalues"]) == pytest.approx(20)
        assert part["condition"] == pytest.approx(part["lambda_max"] / part["lambda_min"])
        assert 1 < part["effective_rank"] < 20
        assert curve[-1] == 1
        # cos θ = ½ on rows of the median length, computed by a kernel of that depth.
        q = results["squared_length"]
        flat = Kernel(part["depth"], "erf", 1.5, 0.2)
        pair = np.sqrt(q) * np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
        tile = flat.tile(pair)
        assert curve[int(np.argmin(np.abs(np.array(results["cosines"]) - 0.5)))] == pytest.approx(
            tile[0, 1] / tile[0, 0], abs=1e-10
        )


def test_deeper_kernels_of_a_chaotic_network_are_flatter(config):
    spectra = depth_analysis(config.model_copy(update={}), (1, 20), rows=40)["spectra"]
    assert spectra[1]["effective_rank"] > spectra[0]["effective_rank"]


def test_page_and_figures_are_written(config, tmp_path):
    results = depth_analysis(config, (1, 3), rows=10)
    page = write_depth(results, tmp_path / "depth.html").read_text()
    assert all(name in page for name in DEPTH_COLUMNS)
    assert "chaotic" in depth_sentence(results)
    files = write_depth_figures(results, tmp_path / "figures")
    assert sorted(p.suffix for p in files) == [".csv"] * 3 + [".png"] * 3 + [".svg"] * 3
    header = (tmp_path / "figures" / "ends_by_depth.csv").read_text().splitlines()
    assert header[0].startswith("depth,lambda_max,lambda_min")
    assert len(depth_rows(results)) == 2


def test_what_is_not_resolved_is_said(config):
    ordered = config.model_copy(update={"kernel": config.kernel.model_copy(update={"sigma_w": 0.5})})
    results = depth_analysis(ordered.model_copy(), (1, 60), rows=30)
    assert results["correlation"]["phase"] == "ordered"
    assert results["spectra"][1]["condition"] is None
    assert depth_rows(results)[1][2].startswith("below")


def test_no_single_map_no_fixed_point(config):
    layers = [{"activation": "relu"}, {"activation": "erf"}]
    mixed = RunConfig.model_validate({"data": config.data.model_dump(), "kernel": {"layers": layers}})
    results = depth_analysis(mixed, (1, 2), rows=5)
    assert "differ" in depth_sentence(results)
    grows = RunConfig.model_validate({"data": config.data.model_dump(), "kernel": {"activation": "relu", "sigma_w": 3}})
    assert depth_analysis(grows, (1,), rows=5)["correlation"]["chi_1"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("depths", "rows", "word"), [((), 9, "depths"), ((0,), 9, "depths"), ((2, 2), 9, "depths"), ((1,), 1, "rows")]
)
def test_refusals(config, depths, rows, word):
    with pytest.raises(InputError, match=word):
        depth_analysis(config, depths, rows)


def test_other_architectures_are_refused(config):
    conv = {"type": "conv", "depth": 2}
    data = {**config.data.model_dump(), "image_shape": [3, 2, 1]}
    with pytest.raises(InputError, match="fully connected"):
        depth_analysis(RunConfig.model_validate({"data": data, "kernel": conv}), (1,), 5)


def test_a_full_architecture_is_taken_from_the_configuration(config):
    from ntkdist.pipeline.kernel import build_kernel

    kernel = {
        "layers": [
            {"activation": "relu", "sigma_w": 1.1, "residual": True, "layernorm": True, "epsilon": 1e-6},
            {"activation": "elu(0.5)", "frozen": True},
        ],
        "first_sigma_w": 1.2, "first_bias": 0.3, "first_frozen": True, "parameterization": "standard", "width": 256,
        "tolerance": 1e-9, "input_scaling": "unit",
    }  # fmt: skip
    built = build_kernel(RunConfig.model_validate({"data": config.data.model_dump(), "kernel": kernel}).kernel)
    spec = built.spec()
    for key in ("first_sigma_w", "first_bias", "first_frozen", "parameterization", "width", "tolerance"):
        assert spec[key] == kernel[key]
    assert spec["layers"][0]["residual"]
    assert spec["layers"][0]["epsilon"] == 1e-6
    assert spec["layers"][1]["frozen"]
