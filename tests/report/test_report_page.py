"""The page is one file that loads nothing, runs nothing, and shows hostile names as text."""

from __future__ import annotations

import base64
import copy
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_document import HOSTILE, document

from ntkdist.report import FIGURES, compare_html, render_html
from ntkdist.report.page import CSP

ALLOWED = {
    *(
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "main",
        "header",
        "section",
        "article",
        "footer",
    ),
    *("div", "p", "h1", "h2", "h3", "ul", "li", "dl", "dt", "dd", "span", "strong", "code"),
    *("table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "picture", "source", "img"),
}


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_inert(text: str) -> Page:
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag in ALLOWED, tag
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href", "srcset", "action"):
            assert (attributes.get(name) or "data:").startswith("data:")
    policy = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == [CSP]
    css = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert css is not None
    assert "url(" not in css[1]
    assert "@import" not in css[1]
    return page


def poisoned(value: Any, name: str, keep: frozenset[str] = frozenset()) -> Any:
    """Every string of the document, keys of free mappings included, replaced by ``name``."""
    if isinstance(value, dict):
        return {key: v if key in keep else poisoned(v, name) for key, v in value.items()}
    if isinstance(value, list):
        return [poisoned(v, name) for v in value]
    return name if isinstance(value, str) else value


def test_the_page_holds_all_figures_in_both_themes_and_all_statements(results: dict[str, Any]) -> None:
    page = assert_inert(render_html(results))
    images = [a for tag, a in page.tags if tag == "img"]
    sources = [a for tag, a in page.tags if tag == "source"]
    assert len(images) == len(sources) == sum(not plot.optional for plot in FIGURES)
    assert all("dark" in (a["media"] or "") for a in sources)
    assert "Not drawn" not in page.text
    for word in ("holds", "does not hold", "unknown", "unresolved", "Du et al. 2019", "rigorous"):
        assert word in page.text
    assert "Unfinished" not in page.text


def test_images_are_whole_svg_documents_without_scripts_or_addresses(results: dict[str, Any]) -> None:
    page = assert_inert(render_html(results))
    for address in (a.get("src") or a.get("srcset") for tag, a in page.tags if tag in ("img", "source")):
        assert address is not None
        svg = base64.b64decode(address.partition(",")[2]).decode()
        assert "<script" not in svg
        for target in re.findall(r'href="([^"]*)"', svg):
            assert target.startswith(("#", "data:image/png"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_everywhere_is_shown_as_text(name: str) -> None:
    results = poisoned(document(), name)
    results["theory"]["curve"] = results["kernel_function"] = results["solution"]["history"] = None  # no names
    results["timings"] = {name: 1.0}
    results["provenance"]["versions"] = {name: name}
    results["predictions"]["metrics"] = {name: 1.0}
    assert_inert(render_html(results))
    assert_inert(compare_html([results, document()]))


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=40))
def test_any_name_leaves_the_page_inert(name: str) -> None:
    few = ("data", "kernel", "gram", "theory", "predictions", "provenance")  # one figure, to be quick
    results = poisoned({key: document()[key] for key in few}, name)
    results["theory"]["curve"] = None
    assert_inert(render_html(results))


def test_an_unfinished_run_says_what_is_missing(results: dict[str, Any]) -> None:
    for stage in ("solution", "theory", "predictions"):
        del results[stage]
    page = assert_inert(render_html(results))
    assert "Unfinished run" in page.text
    assert "no rate, step or bound was derived" in page.text
    absent = page.text.partition("Not drawn, because the run holds no data for them: ")[2].partition(".")[0].split(", ")
    assert {"Training", "Solver", "Confusion matrix"} <= set(absent)
    assert not {"Spectrum", "Gram matrix", "Width"} & set(absent)


def test_an_empty_document_renders() -> None:
    assert "unnamed run" in assert_inert(render_html({})).text


def test_rendering_leaves_the_document_as_it_was(results: dict[str, Any]) -> None:
    before = copy.deepcopy(results)
    render_html(results)
    assert results == before


def test_a_comparison_marks_what_differs_and_what_is_absent(results: dict[str, Any]) -> None:
    other = document()
    other["spectrum"]["lambda_max"]["value"] = 51234.56781
    del other["predictions"]
    page = assert_inert(compare_html([results, other]))
    assert "2 runs compared" in page.text
    assert "(unfinished)" in page.text
    assert "–" in page.text
    assert [a for tag, a in page.tags if a.get("class") == "differs"]
    assert "0 runs compared" in assert_inert(compare_html([])).text
