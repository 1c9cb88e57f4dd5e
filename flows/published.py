"""What a finished flow run leaves in the Prefect UI: a summary, a table of all numbers, and figures."""

from __future__ import annotations

import base64
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from ntkdist.report import FIGURES, summary_rows, to_markdown
from ntkdist.report.figures import LIGHT, png

_SHOWN = ("spectrum", "training_curve")
_DPI = 110


def publish_results(results: dict[str, Any], *, key: str = "ntk") -> None:
    """Leave the results where a user of the Prefect UI sees them.

    Artifacts: KEY-summary (markdown), KEY-results (table), and KEY-spectrum and KEY-training-curve (images) where the
    run has these figures.
    """
    create_markdown_artifact(key=f"{key}-summary", markdown=to_markdown(results), description="NTK analysis")
    rows = [
        {"section": section.title, "quantity": row.name, "value": row.value, "error": row.error, "note": row.note}
        for section in summary_rows(results)
        for row in section.rows
    ]
    create_table_artifact(key=f"{key}-results", table=rows, description="All numbers of the run")
    for plot in FIGURES:
        figure = plot.draw(results, LIGHT) if plot.name in _SHOWN else None
        if figure is not None:
            image = base64.b64encode(png(figure, LIGHT.paper, _DPI)).decode()
            create_image_artifact(
                key=f"{key}-{plot.name.replace('_', '-')}",
                image_url=f"data:image/png;base64,{image}",
                description=plot.caption(results),
            )
