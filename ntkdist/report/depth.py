"""The page and the figures of ``ntkdist depth``, through the machinery of the report."""

from __future__ import annotations

from pathlib import Path

from ntkdist.report.figures import Plot, by_depth
from ntkdist.report.page import CSP, environment, picture
from ntkdist.report.plain import plain
from ntkdist.report.reading import Results
from ntkdist.report.write import replace_file, write_figures

DEPTH_FIGURES = (
    Plot(
        "kernel_by_depth", "Kernel function", by_depth.draw_function, by_depth.function_caption, by_depth.function_data
    ),
    Plot("spectrum_by_depth", "Spectrum", by_depth.draw_spectrum, by_depth.spectrum_caption, by_depth.spectrum_data),
    Plot("ends_by_depth", "Ends of the spectrum", by_depth.draw_ends, by_depth.ends_caption, by_depth.ends_data),
)


def depth_rows(results: Results) -> list[list[str]]:
    """One row of text per depth: L, λ_max, λ_min, condition, top share, effective rank, f at 60° and 90°."""
    table = []
    which, cosines = results["which"], results["cosines"]
    at = [min(range(len(cosines)), key=lambda i, c=c: abs(cosines[i] - c)) for c in (0.5, 0.0)]  # type: ignore[misc]
    for part, curve in zip(results["spectra"], results[which], strict=True):
        resolved = part["lambda_min"] > part["resolution"]
        table.append(
            [
                str(part["depth"]),
                f"{part['lambda_max']:.4g}",
                f"{part['lambda_min']:.4g}" if resolved else f"below {part['resolution']:.1g}",
                f"{part['condition']:.3g}" if part["condition"] is not None else "not resolved",
                f"{part['top_share']:.1%}",
                f"{part['effective_rank']:.4g}",
                *("–" if curve[i] is None else f"{curve[i]:.6f}" for i in at),
            ]
        )
    return table


DEPTH_COLUMNS = ("L", "λ_max", "λ_min", "λ_max/λ_min", "share of λ_max", "effective rank", "f(60°)", "f(90°)")


def depth_sentence(results: Results) -> str:
    """What repeating the layer does to lengths and correlations."""
    found = results["correlation"]
    if "reason" in found:
        return f"Fixed point of the correlation: none, because {found['reason']}."
    meaning = {
        "ordered": "all inputs become one",
        "chaotic": "inputs decorrelate",
        "edge": "inputs become one more slowly than any exponential",
    }[found["phase"]]
    return (
        f"Correlation: ρ → {found['rho']:.6g} at squared length {found['squared_length']:.4g}"
        f" (followed for {found['layers']} layers); χ₁ = {found['chi_1']:.8g}: {found['phase']}, {meaning}."
    )


def write_depth(results: Results, path: str | Path) -> Path:
    """Write the page as one self-contained HTML file and return its path."""
    text = (
        environment()
        .get_template("depth.html")
        .render(
            csp=CSP,
            source=plain(results["source"], 120),
            kernel=plain(results["kernel"]),
            rule=plain(results["rule"]),
            training_rows=results["training_rows"],
            sentence=plain(depth_sentence(results)),
            columns=DEPTH_COLUMNS,
            rows=depth_rows(results),
            pictures=[p for plot in DEPTH_FIGURES if (p := picture(plot, results)) is not None],
        )
    )
    return replace_file(Path(path), text.encode("utf-8"))


def write_depth_figures(results: Results, folder: str | Path) -> list[Path]:
    """Write PNG, SVG and CSV of each figure; returns the files in order."""
    return write_figures(results, folder, DEPTH_FIGURES)
