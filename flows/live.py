"""What the tasks of one flow run share in their process: configuration, store, client, progress.

Tasks get the run's name and look these up here: an open store, a Dask client and a live progress bar are neither
serialised nor hashed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from distributed import Client

from ntkdist.config import RunConfig
from ntkdist.pipeline.prepare import Prepared
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.session import Session


@dataclass
class Live:
    """The open parts of a flow run."""

    config: RunConfig
    progress: Progress = field(default_factory=Silent)
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    _prepared: Prepared | None = None
    _session: Session | None = None
    _client: Client | None = None

    @property
    def prepared(self) -> Prepared:
        """The validated dataset."""
        assert self._prepared is not None
        return self._prepared

    @prepared.setter
    def prepared(self, value: Prepared) -> None:
        self._prepared = value

    @property
    def session(self) -> Session:
        """The opened store."""
        assert self._session is not None
        return self._session

    @session.setter
    def session(self, value: Session) -> None:
        self._session = value

    @property
    def client(self) -> Client:
        """The Dask client of the Gram stage."""
        assert self._client is not None
        return self._client

    @client.setter
    def client(self, value: Client) -> None:
        self._client = value


LIVE: dict[str, Live] = {}
