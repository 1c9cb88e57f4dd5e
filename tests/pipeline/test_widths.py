"""The width study: its theorems on real rows, its resumption after kills, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ntkdist.config import RunConfig, parse_config
from ntkdist.errors import InputError
from ntkdist.kernels.finite_width import Architecture, save_network
from ntkdist.moments import on_moment
from ntkdist.pipeline.widths import run_widths
from ntkdist.report import render_html, summary_rows, write_figures
from ntkdist.store import RunStore


def config(folder: Path, *overrides: str, **changes: Any) -> RunConfig:
    if not (folder / "d.npz").exists():
        x, y = load_digits(return_X_y=True)
        keep = y < 3
        np.savez(folder / "d.npz", x=x[keep][:220], y=y[keep][:220])
    tree: dict[str, Any] = {
        "data": {"path": str(folder / "d.npz"), "normalise": "standardise"},
        "kernel": {"depth": 2, "input_scaling": "1/d"},
        "widths": {
            "widths": [32, 64, 128, 256, 512, 1024],
            "train_up_to": 512,
            "seeds": [0, 1, 2],
            "parameterizations": ["ntk", "mup"],
            "rows": 40,
            "steps": 150,
        },
        "store": str(folder / "a.zarr"),
        **changes,
    }
    return parse_config(tree, overrides)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("widths")
    return folder, run_widths(config(folder))


def by_name(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {s["name"]: s for s in results["widths"]["studies"]}


def test_the_kernel_and_the_effective_weights_approach_as_the_theorems_say(study: tuple[Path, dict[str, Any]]) -> None:
    fits = by_name(study[1])["ntk"]["fits"]
    assert fits["kernel_distance"]["exponent"] == pytest.approx(-0.5, abs=0.1)
    assert fits["effective"]["exponent"] == pytest.approx(-0.5, abs=0.1)
    assert fits["raw"]["exponent"] == pytest.approx(0.0, abs=0.1)
    assert fits["representation"]["exponent"] == pytest.approx(-0.5, abs=0.12)
    for fit in fits.values():
        assert fit["lower"] <= fit["exponent"] <= fit["upper"]


def test_drift_vanishes_in_the_kernel_regime_and_not_where_features_are_learned(
    study: tuple[Path, dict[str, Any]],
) -> None:
    studies = by_name(study[1])
    assert (studies["ntk"]["r"], studies["ntk"]["regime"]) == (0.5, "kernel")
    assert (studies["mup"]["r"], studies["mup"]["regime"]) == (0.0, "features")
    assert studies["ntk"]["fits"]["drift"]["upper"] < -0.25
    assert abs(studies["mup"]["fits"]["drift"]["exponent"]) < 0.15
    assert abs(studies["mup"]["fits"]["representation"]["exponent"]) < 0.15
    for name in ("ntk", "mup"):
        assert studies[name]["agreement"].startswith("agrees")
    widest = [s["widths"][-2] for s in (studies["ntk"], studies["mup"])]
    assert widest[0]["drift"]["max"] < 0.3 * widest[1]["drift"]["min"]


def test_below_two_over_lambda_max_training_converges_and_above_it_diverges(study: tuple[Path, dict[str, Any]]) -> None:
    below, above = by_name(study[1])["ntk"]["step_checks"]
    assert (below["factor"], below["verdict"]) == (0.9, "converges")
    assert (above["factor"], above["verdict"]) == (1.1, "diverges")
    assert above["predicted"] == pytest.approx(1.44)
    assert 1.1 < above["growth"] < 1.6


def test_wide_networks_tend_to_the_infinite_row(study: tuple[Path, dict[str, Any]]) -> None:
    results = study[1]
    infinite, lines = results["widths"]["infinite"], by_name(results)["ntk"]["widths"]
    trained = [line for line in lines if line["loss"] is not None]
    assert [line["width"] for line in lines] == [32, 64, 128, 256, 512, 1024]
    assert trained[-1]["width"] == 512
    for key in ("loss", "test_loss"):
        gap = [abs(line[key]["mean"] - infinite[key]) for line in trained]
        assert gap[-1] < 0.5 * gap[0]
    assert trained[-1]["test_loss"]["mean"] == pytest.approx(infinite["test_loss"], rel=0.2)
    assert trained[-1]["steps_to_epsilon"]["mean"] == pytest.approx(infinite["steps_to_epsilon"], rel=0.2)
    assert trained[-1]["linear_distance"]["mean"] < 0.5 * trained[0]["linear_distance"]["mean"]
    assert lines[-1]["lambda_min"]["mean"] == pytest.approx(infinite["lambda_min"], rel=0.15)


def test_the_report_shows_the_study_and_says_what_was_not_run(study: tuple[Path, dict[str, Any]]) -> None:
    folder, results = study
    page = render_html(results)
    assert "narrow, wide, infinite" in page
    assert 'id="width_scaling"' in page
    assert 'id="critical_line"' in page
    assert "this is a width study" in page
    text = "\n".join(f"{r.name} {r.value} {r.error} {r.note}" for s in summary_rows(results) for r in s.rows)
    assert "ntk: regime kernel, r = 0.5" in text
    assert "mup: regime features, r = 0" in text
    assert "[" in text
    written = {p.name for p in write_figures(results, folder / "figures")}
    assert {"width_scaling.csv", "width_learning.png", "critical_line.svg"} <= written
    json.dumps(results, allow_nan=False)
    assert (folder / "a.html").exists()


def test_a_study_repeats_no_network_and_extends(study: tuple[Path, dict[str, Any]]) -> None:
    folder, results = study
    ran: list[str] = []
    with on_moment(lambda moment, *detail: ran.append(str(detail[0])) if moment == "width.computed" else None):
        again = run_widths(config(folder))
        assert ran == []
        assert again["widths"]["studies"] == results["widths"]["studies"]
        more = run_widths(config(folder, "widths.parameterizations=[ntk]", "widths.widths=[32,64,128,256,512,700]"))
    assert ran == ["ntk-700-0-look", "ntk-700-1-look", "ntk-700-2-look"] or set(ran) == {
        f"ntk-700-{s}-look" for s in range(3)
    }
    assert [line["width"] for line in by_name(more)["ntk"]["widths"]] == [32, 64, 128, 256, 512, 700]
    run_widths(config(folder))


def test_an_interrupted_study_keeps_what_was_finished(tmp_path: Path) -> None:
    small = ["widths.widths=[8,16]", "widths.seeds=[0,1]", "widths.steps=5", "widths.step_check=false"]
    small.append("cluster.threads_per_worker=1")
    done: list[str] = []

    def stop(moment: str, *detail: object) -> None:
        if moment.startswith("stage.width_tasks/") and moment.endswith(".done"):
            done.append(moment)
            if len(done) == 3:
                raise KeyboardInterrupt

    with on_moment(stop), pytest.raises(KeyboardInterrupt):
        run_widths(config(tmp_path, *small))
    ran: list[str] = []
    with on_moment(lambda moment, *detail: ran.append(str(detail[0])) if moment == "width.computed" else None):
        results = run_widths(config(tmp_path, *small))
    assert len(ran) == 8 - 3
    assert len(by_name(results)["mup"]["points"]) == 4
    assert RunStore(tmp_path / "a.zarr").stage("widths") is not None


def test_transfer_compares_a_saved_network_with_random_ones(tmp_path: Path) -> None:
    network = Architecture(2, 64, 3, input_scaling="1/d").draw(64, 0)
    path = save_network(network, tmp_path / "net.npz")
    results = run_widths(
        config(
            tmp_path,
            "widths.widths=[8,16]",
            "widths.train_up_to=4",
            "widths.compare=[{depth: 1}, {activation: erf, sigma_b: 0.2}]",
            kernel={"type": "empirical", "checkpoint": str(path)},
        )
    )
    found = results["widths"]["guidance"]
    assert len(found["transfer"]["random"]) == 3
    assert abs(found["transfer"]["gain"]) < 0.2  # random weights against random weights
    assert len(found["architectures"]) == 3
    assert found["architectures"][0]["own"]
    assert results["widths"]["studies"][0]["fits"].keys() == {"kernel_distance", "raw_step"}
    assert "transfer" in "\n".join(r.name for s in summary_rows(results) for r in s.rows)
    assert 'id="width_learning"' not in render_html(results)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["widths.parameterizations=[ntk, ntk]"], "have one name"),
        (["widths.parameterizations=[mupp]"], "must be 'ntk', 'standard'"),
        (["kernel={layers: [{activation: relu}, {activation: erf}]}"], "repeats one trained layer"),
        (["widths.parameterizations=[{a: [0, 0], b: [0, 0], c: 0}]"], "exponents of 1 hidden layers"),
        (["widths.widths=[64]"], r"widths\.widths"),
    ],
)
def test_refusals(tmp_path: Path, overrides: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        run_widths(config(tmp_path, *overrides))
