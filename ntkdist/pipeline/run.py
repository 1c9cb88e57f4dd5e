"""All stages of a run in order, each resumable: the same function behind the command line and the library.

The store's writer lock is held from the first byte written to the last. A stage whose result is finished with the
same settings is not repeated; a Gram tile with a receipt is not computed again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distributed import Client

from ntkdist.cluster import ClusterSpec, LazyClient, open_client
from ntkdist.config import ClusterConfig, RunConfig
from ntkdist.kernels import TileKernel
from ntkdist.moments import _checkpoint
from ntkdist.pipeline.fit import refuse_unfit
from ntkdist.pipeline.gram import compute_gram
from ntkdist.pipeline.inputs import write_inputs
from ntkdist.pipeline.predict import compute_predictions
from ntkdist.pipeline.prepare import Prepared, prepare
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.provenance import provenance
from ntkdist.pipeline.results import collect_results
from ntkdist.pipeline.session import Session
from ntkdist.pipeline.solve import compute_solution
from ntkdist.pipeline.spectrum import compute_spectrum
from ntkdist.pipeline.theory import compute_theory
from ntkdist.report import write_report
from ntkdist.store import RunStore, refuse_without_room, writing
from ntkdist.tiling import Tiling


@contextmanager
def claimed_store(
    prepared: Prepared, *, unlock: bool = False, write: Callable[[Prepared, RunStore], None] = write_inputs
) -> Iterator[RunStore]:
    """Open the run's store for writing: room checked, locked, swept, bound to its identity, inputs written."""
    config, identity = prepared.config, prepared.identity
    root = Path(config.store)
    tiling = Tiling(identity.n, identity.tile)
    if prepared.stored is None:
        item = 8 if identity.storage == "float64" else 4
        rows = prepared.source.n * prepared.source.features * (8 if identity.compute == "float64" else 4)
        gram = 0 if config.gram.mode == "recomputed" else tiling.stored_entries() * item
        refuse_without_room(root, gram + 2 * rows)
        # The disk was looked at just now; what is left to refuse is memory.
        refuse_unfit(config, tiling, prepared.source.n, prepared.source.features, free_disk=float("inf"))
    with writing(root, unlock=unlock) as store:
        attributes = {
            "kernel": prepared.kernel.spec(),
            "kernel_description": str(prepared.kernel),
            "config": config.model_dump(mode="json"),
        }
        store.claim(identity, attributes)
        write(prepared, store)
        _checkpoint("inputs.done")
        yield store


@contextmanager
def gram_client(config: ClusterConfig) -> Iterator[Client]:
    """The Dask client of a configuration."""
    with open_client(ClusterSpec(**config.model_dump())) as client:
        yield client


@contextmanager
def open_session(store: RunStore, kernel: TileKernel, config: RunConfig) -> Iterator[Session]:
    """The analysis of a claimed store, with the cluster of its configuration, which starts when it is needed."""
    with LazyClient(ClusterSpec(**config.cluster.model_dump())) as workers:
        yield Session(store, kernel, config, workers)


def run(config: RunConfig, progress: Progress | None = None, *, unlock: bool = False) -> dict[str, Any]:
    """Run (or resume) everything and return the results document.

    Raises
    ------
    NtkdistError
        One sentence and an exit code; whatever was finished stays in the store.
    """
    progress = progress or Silent()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    clock = Stopwatch()
    with clock("prepare"):
        prepared = prepare(config, progress)
    with claimed_store(prepared, unlock=unlock) as store, ExitStack() as stack:
        session = stack.enter_context(open_session(store, prepared.kernel, config))
        if config.gram.mode != "recomputed":
            with clock("gram"):
                ensure_gram(session, progress)
        return analyse(session, progress, clock, started)


def ensure_gram(session: Session, progress: Progress) -> int:
    """Compute the tiles that are missing; no cluster is started when none is."""
    if not session.store.tiles.missing():
        return 0
    assert session.workers is not None
    client = session.workers.get()
    return compute_gram(session.store, session.kernel, client, progress=progress, timings=session.timings)


def analyse(session: Session, progress: Progress, clock: Stopwatch, started: str) -> dict[str, Any]:
    """Everything after the Gram matrix: spectrum, solution, theory, predictions, report."""
    with clock("spectrum"):
        spectrum = compute_spectrum(session, progress)
    with clock("solve"):
        compute_solution(session, progress)
    with clock("theory"):
        compute_theory(session, spectrum, progress)
    with clock("predict"):
        compute_predictions(session, progress)
    return publish(session, clock.seconds, started)


def publish(session: Session, seconds: dict[str, float], started: str) -> dict[str, Any]:
    """Record timings and provenance, and write the HTML report beside the store."""
    previous = session.store.group.attrs.get("timings")
    timings = {**(dict(previous) if isinstance(previous, dict) else {}), **seconds}
    session.store.set_attributes(
        {
            "timings": timings,
            "performance": session.performance(timings),
            "provenance": provenance(started, " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        }
    )
    results = collect_results(session.store, session)
    write_report(results, report_path(session.store.root))
    _checkpoint("report.done")
    return results


def report_path(root: Path) -> Path:
    """Where the HTML report of a store stands: ``runs/digits.zarr`` → ``runs/digits.html``."""
    return root.with_suffix(".html")


class Stopwatch:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time a stage."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
