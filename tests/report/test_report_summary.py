"""The summary shows what a run holds, says what is missing, and is the same everywhere."""

from __future__ import annotations

from typing import Any

import pytest
from run_document import HOSTILE, document, statement

from ntkdist.report import summary_rows, to_markdown
from ntkdist.report.headline import headline
from ntkdist.report.reading import STAGES, missing


def rows(results: dict[str, Any], title: str) -> dict[str, Any]:
    return {row.name: row for section in summary_rows(results) if section.title == title for row in section.rows}


def test_a_finished_run_has_every_section_and_misses_nothing(results: dict[str, Any]) -> None:
    titles = [section.title for section in summary_rows(results)]
    assert titles == [
        "Data", "Kernel", "Gram matrix", "Spectrum", "Weights", "Theory", "Predictions", "Time by stage",
        "Provenance",
    ]  # fmt: skip
    assert missing(results) == []


def test_every_number_of_the_theory_has_unit_interval_grade_and_convention(results: dict[str, Any]) -> None:
    theory = rows(results, "Theory")
    step = theory["Largest stable step"]
    assert step.value.endswith(" time")
    assert "rigorous" in step.error
    assert "[3.9036" in step.error
    assert "convention A" in step.note
    assert theory["Convention A"].value.startswith("gradient flow")
    assert "targets as encoded" in theory["||f*||^2/n"].note
    assert "1 does not hold" in theory["Complexity"].note


def test_an_unresolved_number_is_shown_as_unresolved(results: dict[str, Any]) -> None:
    row = rows(results, "Theory")["Predicted risk at 2n rows"]
    assert (row.value, row.error) == ("unresolved", "")
    assert "whole spectrum" in row.note
    results["spectrum"]["lambda_min"] |= {"lower": -1e-9, "upper": 1e-8, "value": 1e-10}
    assert "sign unresolved" in rows(results, "Spectrum")["λ_min"].value


@pytest.mark.parametrize("stage", list(STAGES))
def test_an_absent_section_is_named_as_missing(results: dict[str, Any], stage: str) -> None:
    del results[stage]
    assert [sentence for sentence in missing(results) if sentence.startswith(f"{stage}: ")]
    assert summary_rows(results)[-1].title == "Missing"


def test_half_computed_tiles_an_unconverged_solve_and_an_open_run_are_missing(
    results: dict[str, Any],
) -> None:
    results["gram"]["computed_tiles"] = 4
    results["solution"]["converged"] = False
    assert "gram: 4 of 6 tiles are computed" in missing(results)
    assert any(sentence.startswith("solution: ") for sentence in missing(results))
    assert "NOT converged" in rows(results, "Weights")["Convergence"].value
    assert missing(document() | {"complete": False}) == ["run: it is not marked as complete"]


def test_no_held_out_rows_is_not_missing_predictions(results: dict[str, Any]) -> None:
    del results["predictions"]
    results["data"]["n_test"] = 0
    assert missing(results) == []


def test_documents_as_the_store_writes_them_are_read(results: dict[str, Any]) -> None:
    gram = results["gram"]
    gram |= {"finished_tiles": 6, "tile_seconds": 0.2, "entries_per_second": None, "reused_tiles": 2}
    for key in ("seconds", "computed_tiles", "entry_error", "error_norm", "mode", "trace"):
        del gram[key]
    found = rows(results, "Gram matrix")
    assert found["Tiles"].value == "6 of 6, 512 rows each"
    assert found["Tiles"].note.startswith("2 reused")
    assert found["Time"].value == "200 ms"
    assert "Mode" not in found


def test_regression_scores_and_duplicates_are_told(results: dict[str, Any]) -> None:
    results["predictions"]["metrics"] = {"rmse": 0.25, "mse": 0.0625, "r2": None}
    results["data"] |= {"duplicate_rows": 7, "duplicate_groups": 3, "classes": [str(i) for i in range(40)]}
    found = rows(results, "Predictions")
    assert found["Root mean squared error, test"].value == "0.25"
    assert found["R², test"].value == "unresolved"
    assert "λ_min = 0" in rows(results, "Data")["Duplicate rows"].note
    assert "40 in all" in rows(results, "Data")["Classes"].value
    assert headline(results)[-1].name == "Held-out RMSE"


def test_the_condition_number_stands_in_when_there_is_no_theory(results: dict[str, Any]) -> None:
    results["theory"] = {}
    assert rows(results, "Spectrum")["λ_max/λ_min"].value.startswith("16489")
    results["spectrum"]["lambda_min"]["lower"] = -1.0
    assert rows(results, "Spectrum")["λ_max/λ_min"].error.startswith("≥")


def test_a_vacuous_risk_bound_says_so_in_the_headline(results: dict[str, Any]) -> None:
    assert any("vacuous" in item.error for item in headline(results))


def test_an_empty_document_is_a_list_of_what_is_missing() -> None:
    (section,) = summary_rows({})
    assert len(section.rows) == len(STAGES)
    assert headline({}) == ()


@pytest.mark.parametrize("junk", [None, 3, "x", [], {"a": {"b": []}}, True])
def test_sections_of_the_wrong_type_do_not_raise(junk: Any) -> None:
    summary_rows(dict.fromkeys(document(), junk))
    deeper = {key: dict.fromkeys(value, junk) if isinstance(value, dict) else junk for key, value in document().items()}
    summary_rows(deeper)
    to_markdown(deeper)


@pytest.mark.parametrize("name", HOSTILE)
def test_rows_are_one_line_of_printable_text(results: dict[str, Any], name: str) -> None:
    results["data"]["source"] = name
    results["theory"]["statements"] = [statement("x", name, 1.0, 0.9, 1.1, convention=name, unit=name, note=name)]
    for section in summary_rows(results):
        for row in section.rows:
            for text in (row.name, row.value, row.error, row.note):
                assert text.isprintable(), repr(text)
                text.encode("utf-8")


def test_the_performance_of_tiles_and_products_is_told_with_units(results: dict[str, Any]) -> None:
    results["performance"] = {
        "gram": {
            "tiles": 6, "entries": 25344, "wall_seconds": 2.0, "entries_per_second": 12672.0, "compute_seconds": 3.0,
            "write_seconds": 0.5, "bytes_written": 202752, "tile_seconds_median": 0.4, "tile_seconds_95": 0.9,
            "tiles_by_worker": {"0": 4, "1": 2},
        },
        "passes": {"mode": "streamed", "passes": 19, "columns": 150, "entries_per_second": 1.1e7,
                   "flops_per_second": 3.6e8},
        "cluster": {"type": "local", "workers": 2, "cores_here": 8},
    }  # fmt: skip
    told = rows(results, "Performance")
    assert told["Gram tiles"].note == "median 400 ms, 95% within 900 ms a tile; 2 worker(s)"
    assert told["Gram rate"].value == "12.7 k entries/s"
    assert told["Products K·V"].note == "streamed: 11 M stored entries/s, 360 M flop/s"
    assert told["Cluster"].value == "local, 2 worker(s)"
    results["performance"]["gram"] = None
    assert set(rows(results, "Performance")) == {"Products K·V", "Cluster"}
