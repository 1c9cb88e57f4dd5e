"""A results document as a run on handwritten digits leaves it, and names that try to break out of formats."""

from __future__ import annotations

from typing import Any

import numpy as np

HOSTILE = (
    '"><script>alert(1)</script>',
    "data[/x].npz",
    "[red]",
    r"$\frac{$",
    "$$",
    "\x1b[31mred\x1b]0;owned\x07",
    '=HYPERLINK("http://evil.example","x")',
    "@SUM(1)",
    "-1+1",
    "![x](http://evil.example/a.png)",
    "| a | b |\n\n# title",
    "javascript:alert(1)",
    "--><svg onload=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "‮evil‬",
    "\ud800",
    "</style></title>",
)

FLOW = "gradient flow df/dt = -Theta (f - y) on L = 1/2 sum (f - y)^2, summed over rows and outputs"


def statement(
    key: str, name: str, value: float | None, lower: float | None, upper: float | None, **more: Any
) -> dict[str, Any]:
    return {
        "key": key,
        "name": name,
        "value": value,
        "lower": lower,
        "upper": upper,
        "unit": "1",
        "formula": "a / b",
        "source": "Du et al. 2019 (ICLR), Thm 3.2",
        "convention": FLOW,
        "grade": "rigorous",
        "note": "",
        "holds": None,
        "assumptions": [
            {
                "text": "the kernel stays constant during training (infinite width)",
                "holds": None,
                "evidence": "",
            },
            {"text": "lambda_min > 0", "holds": True, "evidence": "interval [0.3107, 0.3108]"},
        ],
    } | more


def document() -> dict[str, Any]:
    """Realistic numbers of a depth-3 ReLU NTK on 1,437 digits; every optional section is present."""
    rng = np.random.default_rng(7)
    n, low, high, loss0 = 1437, 0.310712345, 51234.5678, 646.65
    classes = [str(d) for d in range(10)]
    theta = np.linspace(0, np.pi, 91)
    times = np.concatenate([[0.0], np.geomspace(1e-7, 20, 80)])
    lambdas, mass = np.geomspace(low, high, 40), rng.dirichlet(np.ones(40))
    loss = loss0 * (mass * np.exp(-2 * np.outer(times, lambdas))).sum(axis=1)
    sample = np.repeat(np.arange(10), 8)
    x = rng.normal(size=(80, 12)) + 2.0 * np.eye(10, 12)[sample]
    confusion = np.diag(rng.integers(30, 40, 10))
    confusion[8, 1], confusion[3, 9], confusion[1, 8] = 2, 1, 1
    kappa, unit_rows = (
        high / low,
        {"text": "the rows have unit norm", "holds": False, "evidence": "‖x‖ ≤ 73.2"},
    )
    whole, vacuous = "the eigenframework needs the whole spectrum", "vacuous: the loss never exceeds 1"
    statements = [
        statement("rate", "Rate of the training residual", low, low - 3e-8, low + 1e-9, unit="1/time"),
        statement("half_life", "Time in which the loss halves", 1.1154, 1.1153999, 1.1154001, unit="time"),
        statement("time_to_epsilon", "Time to loss 0.647", 11.11, 6.7e-5, 11.12, unit="time"),
        statement("stable_step", "Largest stable step", 2 / high, 2 / (high + 1e-4), 2 / (high - 1e-4), unit="time"),
        statement("condition_number", "Condition number", kappa, kappa - 0.02, kappa + 0.02),
        statement("norm_per_row", "||f*||^2/n", 0.0415, 0.041499, 0.041501, convention="targets as encoded"),
        statement("sqrt_bound", "Complexity", 0.2881, 0.28809, 0.28811, assumptions=[unit_rows]),
        statement("rademacher_bound", "Bound on the expected loss", 5.2, 5.19, 5.22, note=vacuous),
        statement("learning_curve", "Predicted risk at 2n rows", None, None, None, note=whole),
    ]
    return {
        "format": 1,
        "version": "0.1.0",
        "run": "runs/digits.zarr",
        "identity": "9f2c" * 8,
        "complete": True,
        "data": {
            "source": "sklearn:digits",
            "n_train": n,
            "n_test": 360,
            "features": 64,
            "outputs": 10,
            "task": "classification",
            "classes": classes,
            "normalise": "none",
            "constant_features": 3,
            "duplicate_groups": 0,
            "duplicate_rows": 0,
            "digest": "77aa" * 8,
            "encoding": "one-hot minus 1/k",
        },
        "kernel": {
            "description": "NTK of a depth-3 ReLU network, σ_w = √2, σ_b = 0",
            "which": "ntk",
            "fingerprint": "a1b2" * 8,
            "spec": {"depth": 3},
        },
        "gram": {
            "n": n,
            "tile": 512,
            "tiles": 6,
            "bytes": 8266000,
            "compute": "float64",
            "storage": "float64",
            "mode": "resident",
            "mode_reason": "8.3 MB fit into memory",
            "seconds": 0.04,
            "entries_per_second": 2.6e7,
            "computed_tiles": 6,
            "reused_tiles": 0,
            "entry_error": 3e-15,
            "error_norm": 1.6e-10,
            "trace": 5748123.25,
        },
        "spectrum": {
            "lambda_min": {
                "value": low,
                "lower": low - 3e-8,
                "upper": low + 1e-9,
                "grade": "rigorous",
                "reason": "Cholesky of K − σI succeeded with rounding bound 2.9e-8",
            },
            "lambda_max": {
                "value": high,
                "lower": high - 1e-5,
                "upper": high + 1e-4,
                "grade": "rigorous",
                "reason": "Cholesky of σI − K succeeded",
            },
            "passes": 61,
            "seconds": 1.4,
            "precision": "float64",
            "lowest": [low, 0.3201, 0.3243, 0.3301, 0.3349],
            "highest": [high, 2891.2, 2511.8, 2222.0, 1873.4],
            "density": {
                "x": np.geomspace(0.3, 5e4, 60).tolist(),
                "density": np.exp(-((np.log(np.geomspace(0.3, 5e4, 60)) - 1.5) ** 2)).tolist(),
                "error": [0.03] * 60,
            },
        },
        "solution": {
            "method": "cg",
            "why": "31 passes cost less than a factorisation",
            "ridge": 0.0,
            "rtol": 1e-8,
            "residual_norms": [float(v) for v in rng.uniform(1e-9, 9e-9, 10)],
            "residual_of": "stored",
            "passes": 31,
            "converged": True,
            "reason": "all residuals are below 1e-08",
            "history": [[p, float(10 ** (-p / 3.8))] for p in range(1, 32)],
            "seconds": 0.5,
        },
        "theory": {
            "statements": statements,
            "loss0": loss0,
            "epsilon": 1e-3,
            "seconds": 0.1,
            "curve": {
                "times": times.tolist(),
                "loss": loss.tolist(),
                "lower": (loss * 0.97).tolist(),
                "upper": (loss * 1.03).tolist(),
                "envelope": (loss0 * np.exp(-2 * low * times)).tolist(),
                "convention": FLOW,
                "initial": "zero",
                "test": {
                    "mse": (0.012 + loss / loss0 * 0.09).tolist(),
                    "accuracy": (0.9889 - 0.8 * loss / loss0).tolist(),
                    "largest_error_of_f": [1e-9] * len(times),
                },
                "learning_times": {
                    "kind": "ritz",
                    "directions": 40,
                    "eigenvalue": lambdas[::-1].tolist(),
                    "time": (1 / lambdas[::-1]).tolist(),
                    "energy": mass[::-1].tolist(),
                    "learned": np.cumsum(mass[::-1]).tolist(),
                },
            },
            "learning_curve": {
                "n": [180, 360, 720, 1437],
                "mse": [0.3, 0.2, 0.14, 0.1],
                "mse_spread": [0.02, 0.01, 0.005, None],
                "accuracy": [0.9, 0.94, 0.97, 0.99],
                "accuracy_spread": [0.01, 0.01, 0.003, None],
                "predicted_mse": [0.27, 0.19, 0.13, None],
                "predicted_how": "whole spectrum of the 1437 training rows",
                "repeats": 3,
                "test_rows": 360,
                "ridge": 0.0,
                "convention": "squared error per held-out row, summed over outputs",
            },
            "ridge_path": {
                "ridges": [0.0, 0.01, 0.1, 1.0, 10.0],
                "loo": [0.009, 0.009, 0.0088, 0.0092, 0.02],
                "gcv": [0.008, 0.0081, 0.0079, 0.009, 0.021],
                "effective_dimension": [1437.0, 1420.0, 1300.0, 900.0, 300.0],
                "best_loo": 0.1,
                "best_gcv": 0.1,
                "how": "one dense eigendecomposition",
            },
        },
        "predictions": {
            "n_test": 360,
            "confusion": confusion.tolist(),
            "seconds": 0.1,
            "metrics": {
                "accuracy": 0.9889,
                "accuracy_interval": [0.9718, 0.9957],
                "correct": 356,
                "mse": 0.0102,
            },
            "nngp_metrics": {"accuracy": 0.98, "accuracy_interval": [0.96, 0.99], "correct": 353, "mse": 0.011},
            "side_by_side": {
                "variance_rows": 64,
                "nngp": {
                    "mean_variance": 12.5,
                    "lower": 12.4999,
                    "upper": 12.5001,
                    "grade": "residual",
                    "calibration_error": 0.31,
                    "confidence": [0.15, 0.35, 0.7],
                    "accuracy": [0.8, 0.95, 1.0],
                    "count": [20, 30, 14],
                },
                "ensemble": {
                    "mean_variance": 20.5,
                    "calibration_error": 0.35,
                    "confidence": [0.15, 0.3],
                    "accuracy": [0.9, 1.0],
                    "count": [30, 34],
                },
            },
            "train_metrics": {"accuracy": 1.0, "accuracy_interval": [0.997, 1.0], "correct": n, "mse": 1e-17},
        },
        "kernel_function": {
            "cos": np.cos(theta).tolist(),
            "ntk": (4 * (1 - theta / 4) ** 3).tolist(),
            "nngp": ((1 - theta / 6) ** 2).tolist(),
        },
        "gram_sample": {
            "order": "by class",
            "labels": [classes[i] for i in sample],
            "values": (x @ x.T).tolist(),
        },
        "timings": {
            "prepare": 0.11,
            "gram": 0.9,
            "spectrum": 1.4,
            "solve": 0.5,
            "theory": 0.1,
            "predict": 0.1,
        },
        "provenance": {
            "host": "node7",
            "machine": "x86_64",
            "system": "Linux",
            "python": "3.11.2",
            "cores": 2,
            "versions": {"numpy": "2.3.1", "zarr": "3.1.6"},
            "started": "2026-03-01T10:00:00+00:00",
            "finished": "2026-03-01T10:00:05+00:00",
            "command": "ntkdist run conf/digits.yaml",
        },
    }
