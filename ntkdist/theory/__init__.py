"""Statements of the theory from spectra, solves and quadratures, each with assumptions, convention and error.

Pure functions on arrays and scalars: they neither print nor log, read no files and know no cluster. What
leaves this room is a :class:`~ntkdist.theory.statement.Statement` or a small frozen dataclass.
"""

from ntkdist.theory.cao_gu import cao_gu
from ntkdist.theory.convergence import convergence
from ntkdist.theory.generalization import generalization
from ntkdist.theory.statement import Assumption, Statement
from ntkdist.theory.two_layer import arora, two_layer_kernel

__all__ = [
    "Assumption",
    "Statement",
    "arora",
    "cao_gu",
    "convergence",
    "generalization",
    "two_layer_kernel",
]
