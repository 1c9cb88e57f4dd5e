"""An opened run in a notebook: theory, dynamics and figures that show themselves."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import ntkdist as ntk
from ntkdist.config import parse_config
from ntkdist.errors import InputError
from ntkdist.pipeline.open_run import Run
from ntkdist.pipeline.run import run


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("views")
    x, y = load_digits(return_X_y=True)
    np.savez(folder / "d.npz", x=x[:120], y=y[:120])
    tree = {"data": {"path": str(folder / "d.npz")}, "store": str(folder / "a.zarr")}
    run(parse_config(tree, ["theory.two_layer=false", "theory.ensemble_rows=0"]))
    return ntk.open(folder / "a.zarr")


def test_the_theory_shows_its_statements_and_keeps_its_curves(opened: Run) -> None:
    theory = opened.theory
    assert len(theory) == len(list(theory)) > 10
    assert theory["rate"]["unit"] == "1/time"
    assert "rate: " in repr(theory)
    table = theory._repr_html_()
    assert "<td>rate</td>" in table
    assert "lambda_min &gt; 0" in table
    assert theory.curve["times"][0] == 0.0
    assert theory.learning_curve["n"]
    assert theory.ridge_path["best_loo"] is not None
    assert theory.ensemble is None


def test_dynamics_at_any_times_agree_with_the_dense_spectrum(opened: Run) -> None:
    theta, inputs = opened.gram.to_numpy(), opened.inputs
    y = inputs["y_train"].values
    times = [0.0, 1e-4, np.inf]
    found = opened.dynamics(times)
    values, vectors = np.linalg.eigh(theta)
    fading = vectors @ (np.exp(-1e-4 * values)[:, None] * (vectors.T @ y))
    assert found["loss"].values[1] == pytest.approx(0.5 * float((fading**2).sum()), rel=2e-3)
    assert float(found["loss_lower"][1]) <= 0.5 * float((fading**2).sum()) * (1 + 1e-9)
    np.testing.assert_allclose(found["f_test"].sel(time=np.inf).values, opened.predictions.values, atol=1e-3)
    np.testing.assert_array_equal(found["f_test"].sel(time=0.0).values, 0.0)
    assert len(opened.dynamics()["time"]) == 42


def test_every_figure_of_the_report_can_be_plotted_and_saved(opened: Run, tmp_path: Path) -> None:
    assert "spectrum" in repr(opened.plot)
    drawing = opened.plot.spectrum()
    ET.fromstring(drawing._repr_svg_().encode())
    assert drawing.caption.endswith(".")
    assert drawing.data["mark"]
    assert drawing.save(tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert drawing.save(tmp_path / "s.svg").stat().st_size > 1000
    with pytest.raises(InputError, match=r"\.svg or \.png"):
        drawing.save(tmp_path / "s.pdf")
    with pytest.raises(AttributeError, match="there are confusion"):
        opened.plot.absent()
    with pytest.raises(InputError, match="no data for the figure"):
        opened.plot.convergence_history()  # a direct solve has no history
