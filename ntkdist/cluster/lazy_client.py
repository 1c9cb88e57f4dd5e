"""A client that is opened when it is first needed, and opened again if its cluster was lost."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from types import TracebackType
from urllib.parse import urlsplit

from distributed import Client

from ntkdist.cluster.client import ClusterSpec, open_client
from ntkdist.cluster.slurm import LOOPBACK

_LOG = logging.getLogger(__name__)


class LazyClient:
    """The cluster of a run; a context manager that closes what it opened."""

    def __init__(self, spec: ClusterSpec) -> None:
        self.spec = spec
        self._stack = ExitStack()
        self._client: Client | None = None

    @property
    def is_here(self) -> bool:
        """Whether tiles are computed in this process, so that no cluster is needed to multiply them."""
        return self.spec.type == "in-process"

    def get(self) -> Client:
        """The open client.

        Raises
        ------
        InputError, ClusterLost
            As :func:`open_client`.
        """
        if self._client is None or self._client.status != "running":
            self.close()
            self._client = self._stack.enter_context(open_client(self.spec))
            dashboard = _reachable(self._client.dashboard_link, self.spec)
            workers = len(self._client.nthreads())
            _LOG.info(
                "cluster of type %s with %d workers; Dask dashboard: %s", self.spec.type, workers, dashboard,
                extra={"event": "cluster", "workers": workers, "dashboard": dashboard},
            )  # fmt: skip
        return self._client

    def close(self) -> None:
        """Close the client and its cluster, if they are open."""
        self._client = None
        self._stack.close()

    def __enter__(self) -> LazyClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _reachable(link: str, spec: ClusterSpec) -> str:
    """The dashboard's address as it listens: Dask names the machine's own address for clusters on the loopback."""
    if not link or spec.type not in ("in-process", "local"):
        return link
    parts = urlsplit(link)
    return parts._replace(netloc=f"{LOOPBACK}:{parts.port}").geturl()
