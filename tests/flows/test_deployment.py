"""The shipped deployments on a real Prefect server: deployed, scheduled, run by a process worker, killed, resumed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling
from server import command, environment, free_port, healthy, kill, running, wait_for

from flows.automations import install
from ntkdist.store import RunStore

pytestmark = pytest.mark.slow
POOL = "ntkdist-process"
SILENCE = 12.0


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    found = environment(home, port)
    arguments = ["server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with running(arguments, found, home / "server.log"):
        wait_for(lambda: healthy(port), 90, "the Prefect server")
        command(found, "work-pool", "create", POOL, "--type", "process")
        yield found


@pytest.fixture
def client(env: dict[str, str]) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: env["PREFECT_API_URL"]}), get_client(sync_client=True) as opened:
        yield opened


def configuration(folder: Path, n: int, name: str = "a", **more: Any) -> dict[str, Any]:
    rng = np.random.default_rng(n)
    path = folder / f"{n}.npz"
    if not path.exists():
        np.savez(path, x=rng.standard_normal((n, 6)), y=rng.standard_normal(n))
    return {
        "data": {"path": str(path), "test_fraction": 0.0},
        "kernel": {"depth": 2},
        "gram": {"tile": 50},
        "spectrum": {"certificate": "residual"},
        "solve": {"ridge": 0.1, "method": "cholesky"},
        "theory": {"two_layer": False, "sizes": [], "ensemble_rows": 0},
        "predict": {"nngp": False, "variance_rows": 0},
        "store": str(folder / f"{name}.zarr"),
        **more,
    }


def start_run(client: SyncPrefectClient, deployment: str, **parameters: Any) -> UUID:
    found = client.read_deployment_by_name(deployment)
    return client.create_flow_run_from_deployment(found.id, parameters=parameters).id


def finished_tiles(store: Path) -> dict[str, int]:
    """Tiles with a receipt, by the file of their chunk, and when that was written."""
    try:
        receipts = RunStore(store).tiles.receipts()
    except Exception:  # noqa: BLE001 - the store is being made
        return {}
    files = [store / "gram" / "c" / str(r.i) / str(r.j) for r in receipts]
    return {str(file): file.stat().st_mtime_ns for file in files}


def state_of(client: SyncPrefectClient, run: UUID) -> str:
    state = client.read_flow_run(run).state
    return "" if state is None else state.name


def told_of(client: SyncPrefectClient, run: UUID, log: Path) -> str:
    state = client.read_flow_run(run).state
    return f"{state and state.message}\n{log.read_text()}"


def artifacts_of(client: SyncPrefectClient, run: UUID) -> dict[str, list[str]]:
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    found: dict[str, list[str]] = {}
    for artifact in client.read_artifacts(artifact_filter=wanted):
        found.setdefault(str(artifact.key), []).append(str(artifact.data))
    return found


def test_a_scheduled_deployment_is_killed_and_completes_without_computing_a_tile_twice(
    env: dict[str, str], client: SyncPrefectClient, tmp_path: Path
) -> None:
    command(env, "--no-prompt", "deploy", "--name", "digits-nightly")
    deployed = client.read_deployment_by_name("ntk-pipeline/digits-nightly")
    assert deployed.schedules[0].schedule.cron == "0 2 * * *"  # type: ignore[union-attr]
    assert "config" in deployed.parameter_openapi_schema["properties"]
    scheduled = wait_for(lambda: client.read_flow_runs(limit=3), 30, "a run of the schedule")
    assert {run.state.name for run in scheduled} == {"Scheduled"}
    assert len(install(timedelta(seconds=SILENCE))) == 2
    assert not any(new for _, new in install(timedelta(seconds=SILENCE)))  # a second time nothing is doubled
    config, store = configuration(tmp_path, 2000), tmp_path / "a.zarr"
    run = start_run(client, "ntk-pipeline/digits-nightly", config=config)
    worker = ["worker", "start", "--pool", POOL, "--type", "process"]
    with running(worker, env, tmp_path / "worker.log") as process:
        before = wait_for(lambda: len(found := finished_tiles(store)) >= 20 and found, 90, "20 tiles", every=0.02)
        # The worker and the flow's own process, which is in a session of its own: a node that is gone.
        family = psutil.Process(process.pid).children(recursive=True)
        kill(process, signal.SIGKILL)
        for member in family:
            member.kill()
    before = finished_tiles(store)
    assert 20 <= len(before) < 820, "the run was not killed in the middle of the Gram matrix"
    assert state_of(client, run) == "Running", "Prefect knows of the death already, so this tests nothing"
    wait_for(lambda: state_of(client, run) == "AwaitingRetry", 60, "the automation to begin the run again")
    for automation in client.read_automations():
        assert automation.id is not None
        client.pause_automation(automation.id)
    with running(worker, env, tmp_path / "worker.log"):
        wait_for(lambda: state_of(client, run) in ("Completed", "Failed", "Crashed"), 120, "the run to end")
    assert state_of(client, run) == "Completed", told_of(client, run, tmp_path / "worker.log")
    after = finished_tiles(store)
    assert len(after) == 820
    assert {file: after[file] for file in before} == before
    told = artifacts_of(client, run)
    assert "λ\\_min" in told["ntk-summary"][0]
    assert "λ_min" in {row["quantity"] for row in json.loads(told["ntk-results"][0])}
    assert told["ntk-spectrum"][0].startswith("data:image/png;base64,")
    assert len(told["ntk-gram"]) == 2, "one bar for the life that was cut off, one for the other"
    assert max(map(float, told["ntk-gram"])) == 100.0


def test_a_run_whose_process_alone_is_killed_is_reported_and_begun_again_once(
    env: dict[str, str], client: SyncPrefectClient, tmp_path: Path
) -> None:
    command(env, "--no-prompt", "deploy", "--name", "digits-nightly")
    install(timedelta(seconds=90), timedelta(seconds=10))
    for automation in client.read_automations():
        assert automation.id is not None
        client.resume_automation(automation.id)
    store, log = tmp_path / "a.zarr", tmp_path / "worker.log"
    run = start_run(client, "ntk-pipeline/digits-nightly", config=configuration(tmp_path, 2000))
    with running(["worker", "start", "--pool", POOL, "--type", "process"], env, log) as worker:
        wait_for(lambda: len(finished_tiles(store)) >= 20, 90, "20 tiles", every=0.02)
        for member in psutil.Process(worker.pid).children(recursive=True):
            if any(str(store) in file.path for file in member.open_files()):
                member.kill()
        before = finished_tiles(store)
        wait_for(lambda: state_of(client, run) == "Crashed", 30, "the worker to report the death", every=0.05)
        wait_for(lambda: state_of(client, run) in ("Completed", "Failed"), 150, "the run to end")
        assert state_of(client, run) == "Completed", told_of(client, run, log)
        assert client.read_flow_run(run).run_count == 2
    for automation in client.read_automations():
        assert automation.id is not None
        client.pause_automation(automation.id)
    after = finished_tiles(store)
    assert len(after) == 820
    assert {file: after[file] for file in before} == before


def ended(client: SyncPrefectClient, run: UUID) -> bool:
    return state_of(client, run) in ("Completed", "Failed", "Crashed", "Cancelled")


def test_two_deployments_share_a_cluster_and_a_cancelled_one_leaves_a_store_that_resumes(
    env: dict[str, str], client: SyncPrefectClient, tmp_path: Path
) -> None:
    port, other = free_port(), "ntkdist-kubernetes"
    address = f"tcp://127.0.0.1:{port}"
    command(env, "work-pool", "create", other, "--type", "process")
    command(env, "--no-prompt", "deploy", "--name", "gram-kubernetes", "--name", "digits-nightly")
    steps = client.read_deployment_by_name("ntk-gram/gram-kubernetes").pull_steps
    assert steps == [{"prefect.deployments.steps.set_working_directory": {"directory": env["NTKDIST_HOME"]}}]
    shared = {"cluster": {"type": "address", "address": address, "connect_timeout": 60}}
    big = configuration(tmp_path, 1200, "big", **shared, gram={"tile": 40})
    small = configuration(tmp_path, 200, "small", **shared)
    log, store, slow = tmp_path / "worker.log", tmp_path / "big.zarr", tmp_path / "slow"
    slow.touch()
    slowly = ["--preload", str(Path(__file__).with_name("slow_tiles.py"))]
    here = {**env, "SLOW_TILES": str(slow)}
    with (
        running(
            ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], env, log, "distributed.cli.dask_scheduler"
        ),
        running([address, "--no-dashboard", "--nthreads", "2", *slowly], here, log, "distributed.cli.dask_worker"),
        running(["worker", "start", "--pool", POOL, "--type", "process"], env, log),
        running(["worker", "start", "--pool", other, "--type", "process"], env, log),
    ):
        long = start_run(client, "ntk-gram/gram-kubernetes", config=big)
        at_first = len(wait_for(lambda: finished_tiles(store), 90, "the first run's tiles", every=0.05))
        short = start_run(client, "ntk-pipeline/digits-nightly", config=small)
        wait_for(lambda: ended(client, short), 120, "the second run to end")
        assert state_of(client, short) == "Completed", told_of(client, short, log)
        meanwhile = finished_tiles(store)
        assert len(meanwhile) > at_first, "the first run was starved by the second"
        assert state_of(client, long) == "Running", "the first run was over too soon to share anything"
        client.set_flow_run_state(long, Cancelling())
        wait_for(lambda: ended(client, long), 60, "the first run to be cancelled")
        assert state_of(client, long) == "Cancelled", told_of(client, long, log)
        kept = finished_tiles(store)
        assert len(kept) < 465, "the first run was over before it was cancelled"
        slow.unlink()
        again = start_run(client, "ntk-gram/gram-kubernetes", config=big)
        wait_for(lambda: ended(client, again), 120, "the cancelled run to be completed by another")
        assert state_of(client, again) == "Completed", told_of(client, again, log)
    after = finished_tiles(store)
    assert len(after) == 465
    assert {file: after[file] for file in kept} == kept
