"""The main job as a Prefect flow: ``python -m flows.ntk_pipeline conf/digits.yaml``.

The same stages as ``ntkdist run``, one Prefect task each (the Gram matrix: one per row band), with retries and a
results artifact. With no Prefect server configured, Prefect's embedded one starts by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas import State
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows import stages
from flows.live import LIVE, Live
from ntkdist.config import RunConfig
from ntkdist.errors import NtkdistError
from ntkdist.pipeline.gram import missing_by_band
from ntkdist.pipeline.inputs import begin_inputs, finish_inputs, rows_of
from ntkdist.pipeline.prepare import Prepared
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.run import Stopwatch, claimed_store, open_session
from ntkdist.report import summary_rows, to_markdown
from ntkdist.store import RunStore
from ntkdist.tiling import Tile

_BANDS_AT_ONCE = 4
_RUNNER: Any = ThreadPoolTaskRunner(max_workers=_BANDS_AT_ONCE)


@flow(
    name="ntk-pipeline",
    description="Dataset to NTK Gram matrix, certified spectrum, weights, bounds, predictions and report.",
    task_runner=_RUNNER,
    validate_parameters=True,
    persist_result=False,
)
def ntk_pipeline(config: RunConfig, unlock: bool = False) -> Any:
    """Run (or resume) one analysis and return its results document."""
    with _live(config) as (name, live):
        clock = Stopwatch()
        try:
            with clock("prepare"):
                _read(name, live)
            with (
                claimed_store(live.prepared, unlock=unlock, write=partial(_write, name, live)) as store,
                open_session(store, live.prepared.kernel, config) as live.session,
            ):
                if config.gram.mode != "recomputed":
                    with clock("gram"):
                        _gram(name, live)
                with clock("spectrum"):
                    spectrum = outcome(stages.spectrum_stage(name, return_state=True))
                with clock("solve"):
                    outcome(stages.solve_stage(name, return_state=True))
                with clock("theory"):
                    outcome(stages.theory_stage(name, spectrum, return_state=True))
                with clock("predict"):
                    outcome(stages.predict_stage(name, return_state=True))
                results = outcome(stages.report_stage(name, clock.seconds, return_state=True))
        except NtkdistError as error:
            return Failed(message=str(error), data=error)
        _publish(results)
        return results


def outcome(state: State[Any]) -> Any:
    """The result of a finished task; its refusal or error is raised here."""
    if isinstance(state.data, NtkdistError):
        raise state.data
    return state.result()


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
    """One task per row band that misses tiles; a few bands at once keep the workers busy at band ends."""
    bands = missing_by_band(live.session.store.tiles)
    if not bands:
        return
    tiling = live.session.tiling
    total = sum(tiling.entries(i, j) for tiles in bands.values() for i, j in tiles)
    live.progress.start("gram", total, "entries")
    assert live.session.workers is not None
    live.client = live.session.workers.get()
    futures = [stages.gram_band.submit(name, band) for band in bands]
    finished = 0
    for future, band in zip(futures, bands, strict=True):
        future.wait()
        outcome(future.state)
        finished += _entries(live, bands[band])
        live.progress.update(finished)
    live.progress.finish()


def _entries(live: Live, tiles: list[Tile]) -> int:
    return sum(live.session.tiling.entries(i, j) for i, j in tiles)


def _publish(results: dict[str, Any]) -> None:
    """Leave the results where a user of the Prefect UI sees them."""
    create_markdown_artifact(key="ntk-summary", markdown=to_markdown(results), description="NTK analysis")
    rows = [
        {
            "section": section.title,
            "quantity": row.name,
            "value": row.value,
            "error": row.error,
            "note": row.note,
        }
        for section in summary_rows(results)
        for row in section.rows
    ]
    create_table_artifact(key="ntk-results", table=rows, description="All numbers of the run")


_PROGRESS: list[Progress] = [Silent()]


@contextmanager
def _live(config: RunConfig) -> Iterator[tuple[str, Live]]:
    name = uuid.uuid4().hex
    LIVE[name] = Live(config, _PROGRESS[-1])
    try:
        yield name, LIVE[name]
    finally:
        del LIVE[name]


def current_progress() -> Progress:
    """Where flow runs of this process report to."""
    return _PROGRESS[-1]


@contextmanager
def reporting_to(progress: Progress) -> Iterator[None]:
    """Send the progress of flow runs of this process to ``progress``."""
    _PROGRESS.append(progress)
    try:
        yield
    finally:
        _PROGRESS.pop()


if __name__ == "__main__":
    from flows.command import main

    main()
