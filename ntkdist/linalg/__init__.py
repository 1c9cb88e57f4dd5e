"""Linear algebra that sees only an operator: solvers, eigensolvers, certificates, quadrature."""

from ntkdist.linalg.afn import FactorisedNystrom, choose_preconditioner
from ntkdist.linalg.block_cg import Preconditioner, Solve, block_cg
from ntkdist.linalg.certificates import certify
from ntkdist.linalg.cholesky import cholesky_solve
from ntkdist.linalg.eigenpair import Eigenpair, Interval
from ntkdist.linalg.inverse_diagonal import InverseDiagonal, estimate_inverse_diagonal, inverse_diagonal
from ntkdist.linalg.krylov import LanczosSpace, lanczos_space
from ntkdist.linalg.lanczos import lambda_max
from ntkdist.linalg.leading import Leading, leading_eigenpairs, target_alignment
from ntkdist.linalg.lobpcg import lambda_min, smallest_eigenpairs
from ntkdist.linalg.memory import fits_dense
from ntkdist.linalg.method import Choice, Prediction, Rates, choose_method, measure_rates
from ntkdist.linalg.operator import DenseOperator, Operator, TileAccess, dense, lower_tiles
from ntkdist.linalg.probabilistic import probabilistic_lower_bound
from ntkdist.linalg.quadrature import Bracket, inverse_form
from ntkdist.linalg.ridges import solve_ridges, solve_ridges_shared
from ntkdist.linalg.rpcholesky import LowRankPreconditioner, default_rank, nystrom, rpcholesky
from ntkdist.linalg.shifted_cholesky import Attempt, attempt_tiled, shifted_cholesky_bound
from ntkdist.linalg.single_cholesky import SingleCholesky
from ntkdist.linalg.singular import Deduplicated, Rank, numerical_rank
from ntkdist.linalg.stochastic import Estimate, SpectralSample, spectral_sample
from ntkdist.linalg.symmetric_product import accumulate_lower_tile
from ntkdist.linalg.tile_store import DiskTiles, TileMapping
from ntkdist.linalg.tiled_cholesky import (
    Breakdown,
    TiledFactor,
    breakdown,
    diagonal_factor,
    factorise,
    panel_tile,
    tiled_cholesky,
)

__all__ = [
    "Attempt",
    "Bracket",
    "Breakdown",
    "Choice",
    "Deduplicated",
    "DenseOperator",
    "DiskTiles",
    "Eigenpair",
    "Estimate",
    "FactorisedNystrom",
    "Interval",
    "InverseDiagonal",
    "LanczosSpace",
    "Leading",
    "LowRankPreconditioner",
    "Operator",
    "Preconditioner",
    "Prediction",
    "Rank",
    "Rates",
    "SingleCholesky",
    "Solve",
    "SpectralSample",
    "TileAccess",
    "TileMapping",
    "TiledFactor",
    "accumulate_lower_tile",
    "attempt_tiled",
    "block_cg",
    "breakdown",
    "certify",
    "cholesky_solve",
    "choose_method",
    "choose_preconditioner",
    "default_rank",
    "dense",
    "diagonal_factor",
    "estimate_inverse_diagonal",
    "factorise",
    "fits_dense",
    "inverse_diagonal",
    "inverse_form",
    "lambda_max",
    "lambda_min",
    "lanczos_space",
    "leading_eigenpairs",
    "lower_tiles",
    "measure_rates",
    "numerical_rank",
    "nystrom",
    "panel_tile",
    "probabilistic_lower_bound",
    "rpcholesky",
    "shifted_cholesky_bound",
    "smallest_eigenpairs",
    "solve_ridges",
    "solve_ridges_shared",
    "spectral_sample",
    "target_alignment",
    "tiled_cholesky",
]
