"""Where tiles are computed and multiplied: Dask clients, the tile executor, the operators over tiles."""

from ntkdist.cluster.cholesky import DistributedCholesky
from ntkdist.cluster.client import ClusterSpec, cores, open_client
from ntkdist.cluster.device import copy_out, device_of, synchronize
from ntkdist.cluster.distributed_operator import DistributedOperator
from ntkdist.cluster.executor import run_tiles
from ntkdist.cluster.held import TileSource
from ntkdist.cluster.lazy_client import LazyClient
from ntkdist.cluster.memory import tiles_allowed, tiles_allowed_on
from ntkdist.cluster.operator import TiledOperator
from ntkdist.cluster.waiting import Patience, lost_cluster_in_words

__all__ = [
    "ClusterSpec",
    "DistributedCholesky",
    "DistributedOperator",
    "LazyClient",
    "Patience",
    "TileSource",
    "TiledOperator",
    "copy_out",
    "cores",
    "device_of",
    "lost_cluster_in_words",
    "open_client",
    "run_tiles",
    "synchronize",
    "tiles_allowed",
    "tiles_allowed_on",
]
