"""Where tiles are computed and multiplied: Dask clients, the tile executor, the tiled operator."""

from ntkdist.cluster.cholesky import DistributedCholesky
from ntkdist.cluster.client import ClusterSpec, cores, open_client
from ntkdist.cluster.executor import lost_cluster_in_words, run_tiles
from ntkdist.cluster.operator import TiledOperator

__all__ = [
    "ClusterSpec",
    "DistributedCholesky",
    "TiledOperator",
    "cores",
    "lost_cluster_in_words",
    "open_client",
    "run_tiles",
]
