"""Names from the data are inert in Markdown, CSV and matplotlib's mathtext."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_document import HOSTILE

from ntkdist.report import to_markdown
from ntkdist.report.csv_text import cell, csv_text
from ntkdist.report.escape_markdown import escape_markdown
from ntkdist.report.plain import figure_text, plain

NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=60), st.sampled_from(HOSTILE).map(lambda s: s * 3))


@settings(deadline=None, max_examples=200)
@given(NAMES)
def test_plain_text_holds_no_control_and_is_idempotent(name: str) -> None:
    found = plain(name)
    assert found.isprintable()
    assert plain(found) == found


@settings(deadline=None, max_examples=200)
@given(NAMES)
def test_no_name_becomes_a_formula_in_a_figure(name: str) -> None:
    assert "$" not in re.sub(r"\\\$", "", figure_text(name))


@settings(deadline=None, max_examples=200)
@given(NAMES)
def test_markdown_cells_hold_no_markup(name: str) -> None:
    found = escape_markdown(name)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|~]", found)
    assert "<" not in found
    assert ">" not in found
    assert "://" not in found
    assert "\n" not in found


def test_a_markdown_table_keeps_its_columns_whatever_the_names(results: dict[str, Any]) -> None:
    results["data"]["source"] = "".join(HOSTILE)
    results["data"]["classes"] = list(HOSTILE)
    results["complete"] = False
    text = to_markdown(results)
    assert "**Unfinished run**" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 5, line


@settings(deadline=None, max_examples=200)
@given(NAMES)
def test_csv_text_is_never_a_formula_and_reads_back(name: str) -> None:
    found = cell(name)
    assert not found.startswith(("=", "+", "-", "@", "\t", "\r"))
    (header, (back, value)) = list(csv.reader(io.StringIO(csv_text({name: [name], "the number beside it": [1.5]}))))
    assert back == found
    assert header[0] == found
    assert value == "1.5"


def test_csv_numbers_stay_numbers_and_unknown_is_empty() -> None:
    assert [cell(v) for v in (-1.5, 0.1, 3, None, float("nan"), -2)] == [
        "-1.5",
        "0.10000000000000001",
        "3",
        "",
        "",
        "-2",
    ]
    assert csv_text({}) == "\r\n"


@pytest.mark.parametrize("name", HOSTILE)
def test_matplotlib_agrees_that_figure_text_is_no_formula(name: str) -> None:
    from matplotlib.text import Text

    text = Text(0, 0, figure_text(name), usetex=False)
    shown, math = text._preprocess_math(text.get_text())
    assert math is False
    assert shown == plain(name, 24)
