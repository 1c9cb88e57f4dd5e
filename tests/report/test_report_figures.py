"""Figures draw what the document holds, nothing when it does not, and keep names out of markup."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from run_document import HOSTILE, document

from ntkdist.report import FIGURES, Plot
from ntkdist.report.figures import DARK, LIGHT, png, svg

OF_EVERY_RUN = [plot for plot in FIGURES if not plot.optional]
each = pytest.mark.parametrize("plot", OF_EVERY_RUN, ids=lambda plot: plot.name)
NAMED = {plot.name: plot for plot in FIGURES}
NEEDS = {
    "spectrum": ("spectrum", "lambda_min"),
    "training_curve": ("theory", "loss0"),
    "kernel_function": ("kernel_function", "cos"),
    "gram_heatmap": ("gram_sample", "values"),
    "convergence_history": ("solution", "history"),
    "confusion": ("predictions", "confusion"),
    "held_out_curve": ("theory", "curve"),
    "learning_times": ("theory", "curve"),
    "learning_curve": ("theory", "learning_curve"),
    "ridge_path": ("theory", "ridge_path"),
    "reliability": ("predictions", "side_by_side"),
}


@each
def test_a_figure_draws_in_both_themes_with_caption_and_data(plot: Plot, results: dict[str, Any]) -> None:
    for theme in (LIGHT, DARK):
        figure = plot.draw(results, theme)
        assert figure is not None
        root = ET.fromstring(svg(figure).encode())
        assert root.tag.endswith("svg")
    assert plot.caption(results).endswith(".")
    columns = plot.data(results)
    assert len({len(column) for column in columns.values()}) == 1


@each
@pytest.mark.parametrize("junk", [None, "x", 3, [], [[1, 2], [3]], {"a": 1}, [float("nan")] * 5])
def test_a_figure_without_its_data_is_none(plot: Plot, junk: Any) -> None:
    results = document()
    part, key = NEEDS[plot.name]
    results[part][key] = junk
    if plot.name == "training_curve":
        results["theory"]["curve"] = junk
        results["spectrum"]["lambda_min"] = junk
    assert plot.draw(results) is None
    plot.caption(results)
    plot.data(results)


@each
def test_a_figure_of_an_empty_document_is_none(plot: Plot) -> None:
    assert plot.draw({}) is None
    assert plot.caption({})
    plot.data({})


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_class_names_draw_and_leave_no_text_in_the_svg(name: str) -> None:
    results = document()
    results["data"]["classes"] = [name, *(str(i) for i in range(9))]
    results["gram_sample"]["labels"] = [name] * 8 + ["b"] * 72
    for plot in OF_EVERY_RUN:
        if plot.name not in ("confusion", "gram_heatmap"):
            continue
        figure = plot.draw(results)
        assert figure is not None
        document_text = svg(figure)
        ET.fromstring(document_text.encode())
        assert "script" not in document_text
        assert "<!--" not in document_text
        assert "onload" not in document_text


def test_figures_ignore_and_keep_the_users_matplotlib_settings(results: dict[str, Any]) -> None:
    plot = NAMED["confusion"]
    plain_figure = plot.draw(results)
    assert plain_figure is not None
    expected = svg(plain_figure)
    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "red", "font.size": 30}):
        figure = plot.draw(results)
        assert figure is not None
        assert svg(figure) == expected
        assert mpl.rcParams["text.usetex"] is True


def test_encodings_are_reproducible(results: dict[str, Any]) -> None:
    first, second = NAMED["spectrum"].draw(results), NAMED["spectrum"].draw(results)
    assert first is not None
    assert second is not None
    assert svg(first) == svg(second)
    assert png(first, "#ffffff") == png(second, "#ffffff")


def test_without_a_curve_the_envelopes_bracket_the_exact_loss(results: dict[str, Any]) -> None:
    training = NAMED["training_curve"]
    exact = results["theory"]["curve"]
    results["theory"]["curve"] = None
    assert training.draw(results) is not None
    assert "was not computed" in training.caption(results)
    columns = {name: np.array(column) for name, column in training.data(results).items()}
    times, loss = np.array(exact["times"][1:]), np.array(exact["loss"][1:])
    upper = np.interp(np.log(times), np.log(columns["time"]), np.log(columns["envelope"]))
    lower = np.interp(np.log(times), np.log(columns["time"]), columns["fastest"])
    inside = (times > columns["time"][0]) & (times < columns["time"][-1])
    assert (np.log(loss[inside]) <= upper[inside] + 1e-3).all()
    assert (loss[inside] >= lower[inside] * 0.999 - 1e-9).all()


def test_times_zero_and_infinity_and_unknown_bounds_are_left_out_of_the_curve(
    results: dict[str, Any],
) -> None:
    curve = results["theory"]["curve"]
    curve["times"][-1] = None
    curve["lower"] = curve["upper"] = None
    assert NAMED["training_curve"].draw(results) is not None
    assert len(NAMED["training_curve"].data(results)["time"]) == len(curve["times"]) - 2


@pytest.mark.parametrize(
    "ends",
    [
        {"lower": None, "upper": None},
        {"lower": None},
        {"upper": None},
        {"lower": 1.0, "value": 1.0, "upper": 1.0},
        {"lower": -1e-9, "value": 0.0, "upper": 1e-9},
        {"lower": -1e-9, "value": -1e-10, "upper": 1e-9},
    ],
)
def test_the_spectrum_draws_open_empty_and_unseparated_intervals(ends: dict[str, Any], results: dict[str, Any]) -> None:
    results["spectrum"]["lambda_min"] |= ends
    results["spectrum"]["density"]["error"] = []
    figure = NAMED["spectrum"].draw(results)
    assert figure is not None
    svg(figure)
    results["spectrum"]["density"]["density"] = [0.0] * 60
    assert NAMED["spectrum"].draw(results) is not None


def test_many_classes_thin_out_their_labels_and_counts(results: dict[str, Any]) -> None:
    results["predictions"]["confusion"] = np.eye(60, dtype=int).tolist()
    results["gram_sample"]["labels"] = [float(i) for i in range(80)]
    results["gram_sample"]["order"] = "by target"
    for plot in (NAMED["gram_heatmap"], NAMED["confusion"]):
        assert plot.draw(results) is not None
    results["gram_sample"]["labels"] = []
    assert len(NAMED["gram_heatmap"].data(results)["label"]) == 80
    results["predictions"]["confusion"] = [[0, 0], [0, 0]]
    assert NAMED["confusion"].draw(results) is None


def test_a_script_the_font_lacks_warns_nobody(results: dict[str, Any]) -> None:
    results["data"]["classes"] = ["猫", "犬", *"abcdefgh"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = NAMED["confusion"].draw(results)
        assert figure is not None
        svg(figure)


def test_one_kernel_alone_is_drawn(results: dict[str, Any]) -> None:
    results["kernel_function"]["ntk"] = None
    assert NAMED["kernel_function"].draw(results) is not None
    assert set(NAMED["kernel_function"].data(results)) == {"cos", "nngp"}


@pytest.mark.parametrize("name", ["held_out_curve", "learning_curve"])
def test_regression_runs_have_one_panel_and_no_accuracy(name: str, results: dict[str, Any]) -> None:
    results["theory"]["learning_curve"]["accuracy"] = None
    results["theory"]["curve"]["test"].pop("accuracy")
    figure = NAMED[name].draw(results)
    assert figure is not None
    assert len(figure.axes) == 1


def test_unresolved_entries_are_left_out_of_the_new_figures(results: dict[str, Any]) -> None:
    results["theory"]["learning_curve"]["predicted_mse"] = [None] * 4
    results["theory"]["ridge_path"]["loo"] = [None] * 5
    results["predictions"]["side_by_side"].pop("ensemble")
    for name in ("learning_curve", "ridge_path", "reliability"):
        assert NAMED[name].draw(results) is not None
    assert set(NAMED["reliability"].data(results)["kind"]) == {"nngp"}
