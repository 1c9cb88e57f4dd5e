"""What a notebook sees of a run's theory and figures: mappings and drawings that show themselves."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ntkdist.errors import InputError
from ntkdist.report import FIGURES, Plot
from ntkdist.report.figures import LIGHT, png, svg
from ntkdist.report.sections.theory import assumptions, error_text, value_text


class TheoryView(Mapping[str, dict[str, Any]]):
    """The statements of a run by key, shown as a table with what each assumes.

    ``curve``, ``learning_curve``, ``ridge_path`` and ``ensemble`` are the theory's curves as plain values.
    """

    def __init__(self, result: dict[str, Any]) -> None:
        self._statements: dict[str, dict[str, Any]] = {s["key"]: s for s in result["statements"]}
        self.curve = result.get("curve")
        self.learning_curve = result.get("learning_curve")
        self.ridge_path = result.get("ridge_path")
        self.ensemble = result.get("ensemble")

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._statements[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)

    def __repr__(self) -> str:
        return "\n".join(f"{key}: {value_text(s)} {error_text(s)}".rstrip() for key, s in self._statements.items())

    def _repr_html_(self) -> str:
        head = "<tr><th>key</th><th>statement</th><th>value</th><th>interval, grade</th><th>assumes</th></tr>"
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td>{html.escape(cell)}</td>"
                for cell in (key, str(s["name"]), value_text(s), error_text(s), _premises(s))
            )
            + "</tr>"
            for key, s in self._statements.items()
        )
        return f"<table>{head}{rows}</table>"


class Drawing:
    """One figure of a run: shows itself in a notebook; ``.figure``, ``.caption``, ``.data``, ``.save(path)``."""

    def __init__(self, plot: Plot, results: dict[str, Any]) -> None:
        figure = plot.draw(results, LIGHT)
        if figure is None:
            raise InputError(f"This run holds no data for the figure {plot.name!r}.")
        self.figure = figure
        self.caption = plot.caption(results)
        self.data = plot.data(results)

    def save(self, path: str | Path) -> Path:
        """Write the figure as .svg or .png."""
        target = Path(path)
        if target.suffix not in (".svg", ".png"):
            raise InputError(f"A figure is saved as .svg or .png, not as {target.suffix or 'a name without ending'}.")
        target.write_bytes(png(self.figure, LIGHT.paper) if target.suffix == ".png" else svg(self.figure).encode())
        return target

    def _repr_svg_(self) -> str:
        return svg(self.figure)


class Plots:
    """The figures of a run by name: ``run.plot.spectrum()``; ``dir(run.plot)`` lists them."""

    def __init__(self, results: dict[str, Any]) -> None:
        self._results = results

    def __dir__(self) -> list[str]:
        return [plot.name for plot in FIGURES]

    def __getattr__(self, name: str) -> Any:
        for plot in FIGURES:
            if plot.name == name:
                return lambda: Drawing(plot, self._results)
        raise AttributeError(f"no figure {name!r}; there are {', '.join(dir(self))}")

    def __repr__(self) -> str:
        return f"figures: {', '.join(dir(self))}"


def _premises(statement: dict[str, Any]) -> str:
    return "; ".join(f"{text}: {verdict}" for text, verdict, _ in assumptions(statement))
