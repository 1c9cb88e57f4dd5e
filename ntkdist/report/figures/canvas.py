"""Blank figures and their encodings, without matplotlib's global state.

A figure is built from :class:`matplotlib.figure.Figure` and an Agg canvas, never through pyplot, and under
matplotlib's default settings whatever the user's own are: a ``text.usetex`` in somebody's matplotlibrc would
run LaTeX over the names in the data. The settings are process-wide, so drawing and encoding hold a lock.
Encodings are reproducible: no date, no random identifiers; text becomes outlines, so no font is needed and no
name reaches the SVG as markup.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from ntkdist.report.figures.theme import Theme

_LOCK = threading.RLock()
_KEPT = {"backend", "backend_fallback", "interactive", "toolbar", "timezone", "webagg.port", "datapath"}
_OWN = {
    "font.size": 10.0,
    "svg.hashsalt": "ntkdist",
    "svg.fonttype": "path",
    "text.usetex": False,
    "axes.unicode_minus": True,
    "path.simplify": True,
}
_RAISED = str.maketrans("0123456789-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@contextmanager
def defaults() -> Iterator[None]:
    """Matplotlib's default settings and ours, for the time of a drawing."""
    with _LOCK, warnings.catch_warnings():
        # A class name in a script the font lacks shows boxes in the figure; the page's text has it in full.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
        settings: dict[Any, Any] = {key: value for key, value in mpl.rcParamsDefault.items() if key not in _KEPT} | _OWN
        with mpl.rc_context(settings):
            yield


def blank(width: float = 4.9, height: float = 3.3) -> Figure:
    """An empty figure, ``width`` × ``height`` inches, transparent, with room made for its labels."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0.0)
    return figure


def dress(axes: Axes, theme: Theme, *, x: str = "", y: str = "", grid: str | None = "y") -> None:
    """Axes without a box: two spines, quiet ticks, labels in ink."""
    axes.set_facecolor("none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(theme.muted)
        axes.spines[side].set_linewidth(0.8)
    axes.tick_params(which="both", colors=theme.muted, labelcolor=theme.ink, labelsize=9, width=0.8)
    axes.tick_params(which="minor", length=2)
    axes.set_axisbelow(True)
    if grid in ("x", "y", "both"):
        axes.grid(True, which="major", axis="both" if grid == "both" else "x" if grid == "x" else "y")
        axes.tick_params(grid_color=theme.grid, grid_linewidth=0.7)
    axes.set_xlabel(x, color=theme.ink, fontsize=10)
    axes.set_ylabel(y, color=theme.ink, fontsize=10)


class _Superscripts(LogFormatterSciNotation):
    """Powers of ten in plain characters (10⁻³): the same look, without a parse of mathematics for every label."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        text = str(super().__call__(x, pos)).replace("$", "").replace(r"\mathdefault", "").replace(r"\times", "×")
        raised = re.sub(r"\^\{([^}]*)\}", lambda power: power[1].translate(_RAISED), text)
        return raised.replace("{", "").replace("}", "")


def _plain_ticks(figure: Figure) -> None:
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                base = getattr(axis.get_major_formatter(), "_base", 10.0)
                if type(axis.get_major_formatter()) is LogFormatterSciNotation:
                    axis.set_major_formatter(_Superscripts(base))
                if type(axis.get_minor_formatter()) is LogFormatterSciNotation:
                    axis.set_minor_formatter(_Superscripts(base, labelOnlyBase=False))


def legend(axes: Axes, theme: Theme) -> None:
    """A legend without a frame, in ink, where it covers least; nothing without labels."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, labelcolor=theme.ink, fontsize=9)


def svg(figure: Figure) -> str:
    """The figure as an SVG document, without its comments (which would quote every text)."""
    buffer = io.StringIO()
    with defaults():
        _plain_ticks(figure)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _COMMENT.sub("", buffer.getvalue())


def png(figure: Figure, paper: str, dpi: float = 200) -> bytes:
    """The figure as PNG on paper of the given colour."""
    buffer = io.BytesIO()
    with defaults():
        _plain_ticks(figure)
        figure.savefig(buffer, format="png", dpi=dpi, facecolor=paper, metadata={"Software": None})
    return buffer.getvalue()
