"""The width study in rows: exponents with intervals, narrow / wide / infinite, the step, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ntkdist.report.reading import Results, items, number, section
from ntkdist.report.rows import Row, row
from ntkdist.report.value import format_ends, significant

_SHOWN = ("kernel_distance", "raw", "relative", "effective", "drift", "representation", "linear_distance", "raw_step")


def width_fit_rows(results: Results) -> tuple[Row, ...]:
    """Class and fitted exponents of each parameterization; empty without a width study."""
    return tuple(line for study in _studies(results) for line in _fits(study))


def width_table_rows(results: Results) -> tuple[Row, ...]:
    """The narrow / wide / infinite table of each parameterization."""
    rows = [line for study in _studies(results) for line in _table(study)]
    study = section(results, "widths")
    infinite = section(study, "infinite")
    if infinite:
        after = (
            f"after {study.get('steps')} steps of kernel gradient descent from f = 0, η = {_short(study.get('step'))}"
        )
        end = _outcome(infinite, "regression_test_loss", "regression_test_accuracy")
        rows.append(row("infinite width", _outcome(infinite), "", f"{after}; kernel regression (t = ∞): {end}"))
    return tuple(rows)


def width_guidance_rows(results: Results) -> tuple[Row, ...]:
    """Learning rate, initialisation, architecture and transfer."""
    found = section(section(results, "widths"), "guidance")
    rows = [line for study in _studies(results) for line in _steps(study)]
    if found:
        rows += _initialisation(section(found, "initialisation"))
        rows += [_architecture(line) for line in items(found.get("architectures")) if isinstance(line, Mapping)]
        rows += _transfer(section(found, "transfer"))
    return tuple(rows)


def _studies(results: Results) -> list[Mapping[str, Any]]:
    return [s for s in items(section(results, "widths").get("studies")) if isinstance(s, Mapping)]


def _fits(study: Mapping[str, Any]) -> Iterator[Row]:
    name = study.get("name")
    failed = ", ".join(str(v) for v in items(study.get("violated")))
    yield row(
        f"{name}: regime",
        f"{study.get('regime')}, r = {_short(study.get('r'))}",
        "",
        f"Yang & Hu 2021, Thms 3.2–3.4{'; fails: ' + failed if failed else ''}; measured: {study.get('agreement')}",
    )
    fits = section(study, "fits")
    for key in _SHOWN:
        fit = section(fits, key)
        if fit:
            yield _fit(f"{name}: {fit.get('what')}", fit)


def _fit(name: str, fit: Mapping[str, Any]) -> Row:
    low, high = number(fit.get("lower")), number(fit.get("upper"))
    expected = number(fit.get("expected"))
    told = "" if expected is None else f"theory {significant(expected, 3)}; "
    spread = _short(fit.get("residual_spread"))
    confidence = number(fit.get("confidence")) or 0.0
    return row(
        name,
        f"m^{_rounded(fit.get('exponent'))}",
        f"[{_rounded(low)}, {_rounded(high)}], {100 * confidence:.0f}% t",
        f"{told}{fit.get('points')} networks, log residual {spread}",
    )


def _table(study: Mapping[str, Any]) -> Iterator[Row]:
    trained = [w for w in items(study.get("widths")) if isinstance(w, Mapping) and w.get("loss") is not None]
    for line in trained:
        place = "narrow" if line is trained[0] else "wide" if line is trained[-1] else "width"
        steps = section(line, "steps_to_epsilon").get("mean")
        reach = f"{_short(steps)} steps to ε" if steps is not None else "ε not reached by every seed"
        parts = [
            f"kernel {_mean(line, 'kernel_distance')} from its limit",
            f"drift {_mean(line, 'drift')}",
            f"hidden layer {_mean(line, 'representation')}",
            f"linearisation off by {_mean(line, 'linear_distance')}",
            f"λ_min {_mean(line, 'lambda_min')}",
        ]
        means = {key: section(line, key).get("mean") for key in ("loss", "test_loss", "accuracy", "test_accuracy")}
        yield row(
            f"{study.get('name')}, {place} {line.get('width')}",
            f"{_outcome(means)}; {reach}",
            _seeds(line),
            "; ".join(parts),
        )


def _outcome(line: Mapping[str, Any], loss: str = "test_loss", accuracy: str = "test_accuracy") -> str:
    parts = []
    if loss == "test_loss" and number(line.get("loss")) is not None:
        parts.append(f"train loss {_short(line.get('loss'))}")
    if number(line.get(loss)) is not None:
        parts.append(f"test loss {_short(line.get(loss))}")
    share = number(line.get(accuracy))
    if share is not None:
        parts.append(f"test accuracy {100 * share:.1f}%")
    if loss == "test_loss" and number(line.get("steps_to_epsilon")) is not None and "seeds" not in line:
        parts.append(f"{_short(line.get('steps_to_epsilon'))} steps to ε")
    return ", ".join(parts) or "unresolved"


def _seeds(line: Mapping[str, Any]) -> str:
    loss = section(line, "test_loss") or section(line, "loss")
    ends = format_ends(loss.get("min"), loss.get("max"))
    return f"{line.get('seeds')} seeds, loss {ends}" if ends else f"{line.get('seeds')} seeds"


def _steps(study: Mapping[str, Any]) -> Iterator[Row]:
    for check in items(study.get("step_checks")):
        if not isinstance(check, Mapping):
            continue
        predicted = number(check.get("predicted"))
        told = "" if predicted is None else f", linear theory {predicted:.3g}"
        yield row(
            f"{study.get('name')}: step {_short(check.get('factor'))} × 2/λ_max",
            str(check.get("verdict")),
            "",
            f"width {check.get('width')}, η = {_short(check.get('step'))}, {check.get('steps')} steps; largest loss"
            f" {_short(check.get('largest_ratio'))} of its start, last steps × {_short(check.get('growth'))}{told};"
            " targets scaled to a twentieth",
        )


def _initialisation(found: Mapping[str, Any]) -> list[Row]:
    if not found:
        return []
    scale, depth = number(found.get("scale")), found.get("depth")
    edge = found.get("phase") == "edge"
    reach = (
        "χ₁ = 1: gradients keep their size at any depth"
        if edge
        else "no depth scale"
        if scale is None
        else f"gradients change by e every {_short(scale)} layers; trainable to about {_short(found.get('trainable'))}"
    )
    line = section(found, "line")
    points = list(zip(items(line.get("sigma_w")), items(line.get("sigma_b")), items(line.get("stable")), strict=False))
    some = points if len(points) < 4 else [points[0], points[len(points) // 2], points[-1]]
    told = "; ".join(
        f"(σ_w, σ_b) = ({_short(w)}, {_short(b)}){'' if ok else ', lengths unstable'}" for w, b, ok in some
    )
    return [
        row(
            f"initialisation, {found.get('activation')}",
            f"{found.get('phase')}, χ₁ = {_short(found.get('chi'))}",
            "",
            f"σ_w = {_short(found.get('sigma_w'))}, σ_b = {_short(found.get('sigma_b'))}, depth {depth}: {reach}"
            f" (Schoenholz et al. 2017, a rule of thumb) {found.get('note') or ''}".strip(),
        ),
        row("critical line χ₁ = 1", told, "", f"{len(points)} points in the report's figure and in --json"),
    ]


def _architecture(line: Mapping[str, Any]) -> Row:
    found = section(line, "alignment")
    condition = number(line.get("condition"))
    return row(
        f"{'this architecture' if line.get('own') else 'candidate'}: {line.get('kernel')}",
        f"alignment {_short(found.get('centred'))} centred, {_short(found.get('plain'))} plain",
        "",
        f"λ_max/λ_min {'unresolved' if condition is None else _short(condition)}, effective rank"
        f" {_short(line.get('effective_rank'))}, {100 * (number(line.get('learned_share')) or 0):.1f}% of ‖y‖² in the"
        f" {line.get('leading')} leading eigenvectors",
    )


def _transfer(found: Mapping[str, Any]) -> list[Row]:
    if not found:
        return []
    after = section(section(found, "pretrained"), "alignment").get("centred")
    before = [
        v for p in items(found.get("random")) if (v := number(section(p, "alignment").get("centred"))) is not None
    ]
    return [
        row(
            "transfer: centred alignment of the pretrained kernel",
            _short(after),
            f"random weights {format_ends(min(before), max(before))}" if before else "",
            f"gain {_short(found.get('gain'))} over the mean of {len(before)} random initialisations",
        )
    ]


def _mean(line: Mapping[str, Any], key: str) -> str:
    return _short(section(line, key).get("mean"))


def _short(value: object) -> str:
    known = number(value)
    return "unresolved" if known is None else significant(known, 3)


def _rounded(value: object) -> str:
    known = number(value)
    return "unresolved" if known is None else f"{known:+.3f}"
