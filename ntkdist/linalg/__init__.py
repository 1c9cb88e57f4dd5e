"""Linear algebra that sees only an operator: solvers, eigensolvers, certificates, quadrature."""

from ntkdist.linalg.block_cg import Solve, block_cg
from ntkdist.linalg.certificates import certify, shifted_cholesky_bound
from ntkdist.linalg.cholesky import cholesky_solve
from ntkdist.linalg.eigenpair import Eigenpair, Interval
from ntkdist.linalg.lanczos import lambda_max
from ntkdist.linalg.lobpcg import lambda_min
from ntkdist.linalg.method import Choice, choose_method
from ntkdist.linalg.operator import DenseOperator, Operator
from ntkdist.linalg.probabilistic import probabilistic_lower_bound
from ntkdist.linalg.quadrature import Bracket, inverse_form
from ntkdist.linalg.rpcholesky import LowRankPreconditioner, default_rank, rpcholesky

__all__ = [
    "Bracket",
    "Choice",
    "DenseOperator",
    "Eigenpair",
    "Interval",
    "LowRankPreconditioner",
    "Operator",
    "Solve",
    "block_cg",
    "certify",
    "cholesky_solve",
    "choose_method",
    "default_rank",
    "inverse_form",
    "lambda_max",
    "lambda_min",
    "probabilistic_lower_bound",
    "rpcholesky",
    "shifted_cholesky_bound",
]
