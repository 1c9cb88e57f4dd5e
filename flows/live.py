"""What the tasks of one flow run share in their process: configuration, store, client, progress.

Tasks get the run's name and look these up here: an open store, a Dask client and a live progress bar are neither
serialised nor hashed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from distributed import Client

from ntkdist.config import RunConfig
from ntkdist.pipeline.inputs import Block
from ntkdist.pipeline.prepare import Preparation, Prepared
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.session import Session
from ntkdist.store import RunStore


@dataclass
class Live:
    """The open parts of a flow run."""

    config: RunConfig
    progress: Progress = field(default_factory=Silent)
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    blocks: list[Block] = field(default_factory=list)
    _preparation: Preparation | None = None
    _store: RunStore | None = None
    _prepared: Prepared | None = None
    _session: Session | None = None
    _client: Client | None = None

    @property
    def preparation(self) -> Preparation:
        """The dataset while it is read."""
        assert self._preparation is not None
        return self._preparation

    @preparation.setter
    def preparation(self, value: Preparation) -> None:
        self._preparation = value

    @property
    def store(self) -> RunStore:
        """The claimed store while inputs are written."""
        assert self._store is not None
        return self._store

    @store.setter
    def store(self, value: RunStore) -> None:
        self._store = value

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
