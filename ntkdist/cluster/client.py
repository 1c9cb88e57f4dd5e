"""Dask clients for every place tiles can be computed: this process, this machine, GPUs, SLURM, Kubernetes, an address.

Nothing listens off the loopback interface unless a cluster of several machines is asked for: Dask's own defaults
open its dashboard (and, in-process, its worker's HTTP server) on all interfaces, so every address is given here.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dask
from distributed import Client, LocalCluster

from ntkdist.errors import ClusterLost, InputError

LOOPBACK = "127.0.0.1"
# The driver reaches the workers of these without a detour through the scheduler.
_NEARBY = ("in-process", "local", "cuda")
# Preempted workers are normal: what Dask gives up after this many deaths, the executor submits again.
_SETTINGS = {
    "distributed.scheduler.allowed-failures": 3,
    "distributed.admin.tick.limit": "30s",
    # Vectors and receipts are small and tiles are held outside Dask's memory: spilling would only slow passes down,
    # and a worker paused for its resident tiles would never go on.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.97,
    "logging.distributed": "error",
}


@dataclass(frozen=True)
class ClusterSpec:
    """Which cluster to use; the same fields as the ``cluster`` section of a configuration."""

    type: str = "in-process"
    workers: int = 1
    threads_per_worker: int | None = None
    memory_limit: str | None = None
    address: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    connect_timeout: float = 30.0
    worker_ttl: float = 60.0
    insecure: bool = False


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_client(spec: ClusterSpec) -> Iterator[Client]:
    """Open a Dask client on ``spec`` and close it (and the cluster made for it) afterwards.

    Raises
    ------
    InputError
        An unknown cluster type, or the package that provides it is not installed.
    ClusterLost
        No scheduler answers at the address, or no worker starts, within ``connect_timeout`` seconds.
    """
    with dask.config.set({**_SETTINGS, "distributed.scheduler.worker-ttl": f"{spec.worker_ttl:g}s"}):
        try:
            cluster = _start(spec)
        except (TimeoutError, OSError, RuntimeError) as error:
            raise ClusterLost(f"The {spec.type} cluster did not start: {str(error).rstrip('.')}.") from error
        try:
            with _connect(spec, cluster) as client:
                yield client
        finally:
            if cluster is not None:
                cluster.close()


def _connect(spec: ClusterSpec, cluster: Any) -> Client:
    try:
        client = Client(
            cluster if cluster is not None else spec.address,
            timeout=spec.connect_timeout,
            set_as_default=False,
            direct_to_workers=spec.type in _NEARBY,
        )
    except (TimeoutError, OSError, ValueError) as error:
        raise ClusterLost(
            f"No Dask scheduler answers at {spec.address} within {spec.connect_timeout:g} s; "
            "start one, or correct cluster.address."
        ) from error
    try:
        client.wait_for_workers(1, timeout=spec.connect_timeout)
    except TimeoutError:
        client.close()
        raise ClusterLost(
            f"The {spec.type} cluster has no worker after {spec.connect_timeout:g} s; "
            "start workers, or raise cluster.connect_timeout."
        ) from None
    return client


def _start(spec: ClusterSpec) -> Any:
    local: dict[str, Any] = {
        "dashboard_address": f"{LOOPBACK}:0",
        "worker_dashboard_address": f"{LOOPBACK}:0",
        "silence_logs": 50,
    }
    match spec.type:
        case "in-process":
            return LocalCluster(
                n_workers=1,
                processes=False,
                threads_per_worker=spec.threads_per_worker or cores(),
                memory_limit=spec.memory_limit or 0,
                **local,
                **spec.options,
            )
        case "local":
            return LocalCluster(
                n_workers=spec.workers,
                processes=True,
                host=LOOPBACK,
                threads_per_worker=spec.threads_per_worker or max(1, cores() // spec.workers),
                memory_limit=spec.memory_limit or "auto",
                **local,
                **spec.options,
            )
        case "cuda":
            dask_cuda = _optional("dask_cuda", "cuda12")
            return dask_cuda.LocalCUDACluster(
                n_workers=spec.workers, host=LOOPBACK, dashboard_address=f"{LOOPBACK}:0", **spec.options
            )
        case "slurm":
            jobqueue = _optional("dask_jobqueue", "slurm")
            cluster = jobqueue.SLURMCluster(**{**_security(spec), **spec.options})
            cluster.scale(jobs=spec.workers)
            return cluster
        case "kubernetes":
            operator = _optional("dask_kubernetes.operator", "k8s")
            return operator.KubeCluster(n_workers=spec.workers, **spec.options)
        case "address":
            return None
        case _:
            raise InputError(
                f"Unknown cluster type {spec.type!r}; choose in-process, local, cuda, slurm, kubernetes or address."
            )


def _security(spec: ClusterSpec) -> dict[str, Any]:
    if spec.insecure:
        return {}
    from distributed.security import Security

    return {"security": Security.temporary()}


def _optional(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(
            f'This cluster type needs {module.split(".")[0]}, which is not installed: pip install "ntkdist[{extra}]".'
        ) from None
