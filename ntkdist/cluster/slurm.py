"""Workers that are SLURM jobs: what dask-jobqueue is told beyond the user's own options."""

from __future__ import annotations

from typing import Any

from distributed.security import Security

LOOPBACK = "127.0.0.1"


def start_slurm(jobqueue: Any, workers: int, options: dict[str, Any], *, insecure: bool) -> Any:
    """A SLURMCluster of ``workers`` jobs.

    Connections are encrypted with certificates made for this cluster (written below ``shared_temp_directory``, by
    default the working directory, which all nodes must see) unless ``insecure``. No dashboard is open off the
    loopback interface. ``options`` go to the constructor and win.
    """
    given = dict(options)
    # One worker a job: Dask sees that a job has ended by its one worker, and tiles share the cores by threads.
    given.setdefault("processes", 1)
    scheduler = {"dashboard_address": f"{LOOPBACK}:0", **given.pop("scheduler_options", {})}
    extra = [*given.pop("worker_extra_args", []), "--no-dashboard"]
    secured: dict[str, Any] = {} if insecure else {"security": Security.temporary(), "protocol": "tls://"}
    if not insecure:
        given.setdefault("shared_temp_directory", ".")
    cluster = jobqueue.SLURMCluster(**{**secured, **given}, scheduler_options=scheduler, worker_extra_args=extra)
    cluster.scale(jobs=workers)
    return cluster
