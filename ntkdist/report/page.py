"""The report of a run as one HTML file that needs nothing else and runs nothing.

Figures are SVG images inside the page, once for light and once for dark screens; a content security policy
forbids scripts and every request, so a report that somebody sends is safe to open. Every text from the
results document passes Jinja's autoescape.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from ntkdist.report.bounds import bounds, grouped
from ntkdist.report.figures import DARK, FIGURES, LIGHT, Plot, svg
from ntkdist.report.figures.theme import repaint
from ntkdist.report.headline import headline
from ntkdist.report.plain import plain
from ntkdist.report.reading import Results, missing, section
from ntkdist.report.summary import summary_rows

CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page may show its own images and styles, and nothing else."""


@dataclass(frozen=True)
class Picture:
    """A figure in both themes as data: addresses, with its title and caption."""

    name: str
    title: str
    caption: str
    light: str
    dark: str


def environment() -> Environment:
    """The templates, with autoescape on and undefined names refused."""
    return Environment(
        loader=PackageLoader("ntkdist.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render_html(results: Results) -> str:
    """The whole page; sections that the run has not computed are named as missing."""
    pictures = [p for plot in FIGURES if (p := picture(plot, results)) is not None]
    return (
        environment()
        .get_template("report.html")
        .render(
            csp=CSP,
            title=title(results),
            kernel=plain(section(results, "kernel").get("description") or "kernel not recorded"),
            missing=missing(results),
            headline=headline(results),
            pictures=pictures,
            absent=[
                plot.title for plot in FIGURES if not plot.optional and plot.name not in {p.name for p in pictures}
            ],
            sections=[s for s in summary_rows(results) if s.title not in ("Missing", "Theory")],
            groups=grouped(bounds(results)),
            version=plain(results.get("version") or "version not recorded"),
            identity=plain(results.get("identity") or "not recorded"),
        )
    )


def title(results: Results) -> str:
    """The dataset's name, or the run's."""
    return plain(section(results, "data").get("source") or results.get("run") or "unnamed run", 120)


def picture(plot: Plot, results: Results) -> Picture | None:
    """The figure in both themes, or None where there is nothing to draw."""
    figure = plot.draw(results, LIGHT)
    if figure is None:
        return None
    light = svg(figure)
    dark = repaint(light, LIGHT, DARK)
    if dark is None:
        drawn = plot.draw(results, DARK)
        assert drawn is not None
        dark = svg(drawn)
    return Picture(plot.name, plot.title, plain(plot.caption(results)), _address(light), _address(dark))


def _address(document: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(document.encode("utf-8")).decode("ascii")
