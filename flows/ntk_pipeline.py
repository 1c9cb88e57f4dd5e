"""The main job as a Prefect flow: ``python -m flows.ntk_pipeline conf/digits.yaml``.

The same stages as ``ntkdist run``, one Prefect task each (the Gram matrix: one per row band), with retries and
artifacts. With no Prefect server configured, Prefect's embedded one starts by itself.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.notify import HOOKS
from flows.published import publish_results
from flows.running import Configuration, live_run, refuse_endless_restarts, resolved
from flows.steps import run_stages
from ntkdist.errors import NtkdistError

BANDS_AT_ONCE = 4
RUNNER: Any = ThreadPoolTaskRunner(max_workers=BANDS_AT_ONCE)


@flow(
    name="ntk-pipeline",
    description="Dataset to NTK Gram matrix, certified spectrum, weights, bounds, predictions and report.",
    task_runner=RUNNER,
    validate_parameters=True,
    persist_result=False,
    **HOOKS,
)
def ntk_pipeline(config: Configuration, unlock: bool = False) -> Any:
    """Run (or resume) one analysis, given as a form or as the path of its YAML file; returns the results document."""
    try:
        refuse_endless_restarts()
        with live_run(resolved(config)) as (name, live):
            results = run_stages(name, live, unlock=unlock)
    except NtkdistError as error:
        return Failed(message=str(error), data=error)
    publish_results(results)
    return results


if __name__ == "__main__":
    from flows.command import main

    main()
