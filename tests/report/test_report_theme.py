"""A figure in dark colours is the light one repainted, wherever that is the same picture."""

from __future__ import annotations

import re

import pytest
from run_document import document

from ntkdist.report.figures import DARK, FIGURES, LIGHT, svg
from ntkdist.report.figures.theme import repaint

_IDENTIFIER = re.compile(r'(["#(])[mp][0-9a-f]{10}')


@pytest.mark.parametrize("plot", FIGURES, ids=lambda plot: plot.name)
def test_repainting_is_redrawing(plot):
    light, dark = plot.draw(document(), LIGHT), plot.draw(document(), DARK)
    if light is None or dark is None:
        pytest.skip("the example run does not have it")
    repainted = repaint(svg(light), LIGHT, DARK)
    if repainted is None:
        assert "<image" in svg(light)
        return
    # Matplotlib names markers and clip paths by a hash of their style.
    assert _IDENTIFIER.sub(r"\1", repainted) == _IDENTIFIER.sub(r"\1", svg(dark))


def test_colours_of_no_theme_are_not_repainted():
    assert repaint('<path style="fill: #123456"/>', LIGHT, DARK) is None
    assert repaint(f'<path style="fill: {LIGHT.ink}"/>', LIGHT, DARK) == f'<path style="fill: {DARK.ink}"/>'
