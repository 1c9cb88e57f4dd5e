"""Dask clients for every place tiles can be computed: this process, this machine, GPUs, SLURM, Kubernetes, an address.

Nothing listens off the loopback interface unless a cluster of several machines is asked for: Dask's own defaults
open its dashboard (and, in-process, its worker's HTTP server) on all interfaces, so every address is given here.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dask
from distributed import Client, LocalCluster

from ntkdist.cluster.slurm import LOOPBACK, start_slurm
from ntkdist.cluster.upkeep import kept_up
from ntkdist.errors import ClusterLost, InputError

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
            with _connect(spec, cluster) as client, kept_up(_size_again(spec, cluster)):
                yield client
        finally:
            if cluster is not None:
                cluster.close()


def _size_again(spec: ClusterSpec, cluster: Any) -> Callable[[], object] | None:
    """How to ask a cluster of worker processes for the workers it should have."""
    if spec.type == "slurm":
        return lambda: cluster.scale(jobs=spec.workers)
    return (lambda: cluster.scale(len(cluster.worker_spec))) if spec.type in ("local", "cuda") else None


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
            return start_slurm(jobqueue, spec.workers, dict(spec.options), insecure=spec.insecure)
        case "kubernetes":
            operator = _optional("dask_kubernetes.operator", "k8s")
            return operator.KubeCluster(n_workers=spec.workers, **spec.options)
        case "address":
            _refuse_open_address(spec)
            return None
        case _:
            raise InputError(
                f"Unknown cluster type {spec.type!r}; choose in-process, local, cuda, slurm, kubernetes or address."
            )


def _refuse_open_address(spec: ClusterSpec) -> None:
    """Whoever reaches a Dask scheduler runs code as its user: off this machine only encrypted, or said so."""
    address = spec.address or ""
    host = address.rpartition("://")[2].rpartition(":")[0].strip("[]")
    if address.startswith("tls://") or host in (LOOPBACK, "localhost", "::1") or spec.insecure:
        return
    raise InputError(
        f"The scheduler {address} is on another machine and not encrypted: use tls:// (with certificates in Dask's "
        "distributed.comm.tls settings), or say --set cluster.insecure=true on a network you trust."
    )


def _optional(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(
            f'This cluster type needs {module.split(".")[0]}, which is not installed: pip install "ntkdist[{extra}]".'
        ) from None
