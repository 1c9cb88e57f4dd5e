"""Statements of the theory from spectra, solves and quadratures, each with assumptions, convention and error.

Pure functions on arrays and scalars: they neither print nor log, read no files and know no cluster. What
leaves this room is a :class:`~ntkdist.theory.statement.Statement` or a small frozen dataclass.
"""

from ntkdist.theory.cao_gu import cao_gu
from ntkdist.theory.convergence import convergence
from ntkdist.theory.descent import descent_curve
from ntkdist.theory.dynamics import Band, Dynamics, LossCurve, dynamics
from ntkdist.theory.eigenframework import LearningCurve, learning_curve
from ntkdist.theory.ensemble import Ensemble, ensemble
from ntkdist.theory.generalization import generalization
from ntkdist.theory.learning_times import LearningTimes, learning_times, learning_times_exact
from ntkdist.theory.leave_one_out import effective_dimension, gcv, leave_one_out, ridge_path
from ntkdist.theory.posterior import posterior
from ntkdist.theory.scores import accuracy, calibration, coverage, regression
from ntkdist.theory.statement import Assumption, Statement
from ntkdist.theory.time_to_reach import time_to_reach
from ntkdist.theory.times import auto_times
from ntkdist.theory.two_layer import arora, two_layer_kernel
from ntkdist.theory.widths import lambda_min_scaling, widths

__all__ = [
    "Assumption",
    "Band",
    "Dynamics",
    "Ensemble",
    "LearningCurve",
    "LearningTimes",
    "LossCurve",
    "Statement",
    "accuracy",
    "arora",
    "auto_times",
    "calibration",
    "cao_gu",
    "convergence",
    "coverage",
    "descent_curve",
    "dynamics",
    "effective_dimension",
    "ensemble",
    "gcv",
    "generalization",
    "lambda_min_scaling",
    "learning_curve",
    "learning_times",
    "learning_times_exact",
    "leave_one_out",
    "posterior",
    "regression",
    "ridge_path",
    "time_to_reach",
    "two_layer_kernel",
    "widths",
]
