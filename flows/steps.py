"""The steps flows are made of: read and write the rows, compute the Gram matrix, run the stages asked for."""

from __future__ import annotations

from functools import partial
from typing import Any

from flows import stages
from flows.live import Live
from flows.running import outcome
from ntkdist.pipeline.gram import missing_by_band
from ntkdist.pipeline.inputs import begin_inputs, finish_inputs, rows_of
from ntkdist.pipeline.prepare import Prepared
from ntkdist.pipeline.run import Stopwatch, claimed_store, open_session
from ntkdist.store import RunStore
from ntkdist.tiling import Tile

ALL = ("gram", "spectrum", "solve", "theory", "predict")
"""The stages of a whole run, in order; any of them may be left out from the end, and solve needs no spectrum."""


def run_stages(name: str, live: Live, wanted: tuple[str, ...] = ALL, *, unlock: bool = False) -> dict[str, Any]:
    """Run (or resume) the stages ``wanted``, one task each, and write the report; returns the results document."""
    clock = Stopwatch()
    with clock("prepare"):
        _read(name, live)
    with (
        claimed_store(live.prepared, unlock=unlock, write=partial(_write, name, live)) as store,
        open_session(store, live.prepared.kernel, live.config) as live.session,
    ):
        # Tiles that are made anew in every pass are not a stage.
        if live.config.gram.mode != "recomputed":
            with clock("gram"):
                _gram(name, live)
        spectrum: Any = None
        if "spectrum" in wanted:
            with clock("spectrum"):
                spectrum = outcome(stages.spectrum_stage(name, return_state=True))
        if "solve" in wanted:
            with clock("solve"):
                outcome(stages.solve_stage(name, return_state=True))
        if "theory" in wanted:
            with clock("theory"):
                outcome(stages.theory_stage(name, spectrum, return_state=True))
        if "predict" in wanted:
            with clock("predict"):
                outcome(stages.predict_stage(name, return_state=True))
        results: dict[str, Any] = outcome(stages.report_stage(name, clock.seconds, return_state=True))
        return results


def _read(name: str, live: Live) -> None:
    """Read the dataset, one task per range of rows (in order: compressed files are read forwards)."""
    outcome(stages.prepare_stage(name, return_state=True))
    live.progress.start("read", live.preparation.source.n, "rows")
    done = 0
    for start, stop in live.preparation.ranges:
        done += outcome(stages.read_range(name, start, stop, return_state=True))
        live.progress.update(done)
    live.progress.finish()
    live.prepared = live.preparation.finish()


def _write(name: str, live: Live, prepared: Prepared, store: RunStore) -> None:
    """Write the rows that are missing in the store, one task per range of blocks."""
    ranges = begin_inputs(prepared, store)
    if ranges is None:
        return
    live.store = store
    live.progress.start("inputs", sum(rows_of(prepared, blocks) for blocks in ranges), "rows")
    done = 0
    for blocks in ranges:
        part, first = blocks[0]
        live.blocks = blocks
        done += outcome(stages.write_range(name, part, first, return_state=True))
        live.progress.update(done)
    finish_inputs(prepared, store)
    live.progress.finish()


def _gram(name: str, live: Live) -> None:
    """One task per row band that misses tiles; a few bands at once keep the workers busy at band ends.

    Tasks carry the tag ``ntkdist-cluster-TYPE``: a Prefect concurrency limit on it shares a cluster between runs.
    """
    bands = missing_by_band(live.session.store.tiles)
    if not bands:
        return
    tiling = live.session.tiling
    total = sum(tiling.entries(i, j) for tiles in bands.values() for i, j in tiles)
    live.progress.start("gram", total, "entries")
    assert live.session.workers is not None
    live.client = live.session.workers.get()
    band_task = stages.gram_band.with_options(tags=[f"ntkdist-cluster-{live.config.cluster.type}"])
    futures = [band_task.submit(name, band) for band in bands]
    finished = 0
    for future, band in zip(futures, bands, strict=True):
        future.wait()
        outcome(future.state)
        finished += _entries(live, bands[band])
        live.progress.update(finished)
    live.progress.finish()


def _entries(live: Live, tiles: list[Tile]) -> int:
    return sum(live.session.tiling.entries(i, j) for i, j in tiles)
