"""Automations that begin dead flow runs again: ``python -m flows.automations``.

A flow run whose process was killed (out of memory, preempted, a lost node) cannot say so.  Prefect's server sees its
heartbeats stop, but a self-hosted one does nothing about it until it is told to.  Two automations are: a run without a
heartbeat for three of its periods, and a run reported as crashed, are scheduled again, and resume from their stores.
Both look only at runs with the tag :data:`TAG`, which the deployments of this project carry; a run that dies more
than ``flows.running.RESTARTS`` times is given up.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import httpx
import typer
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.settings import PREFECT_API_URL

from ntkdist.cli.app import guarded
from ntkdist.cli.console import out, plain
from ntkdist.errors import InputError

TAG = "ntkdist-resumes"
HEARTBEAT_SECONDS = 30
"""The shortest period Prefect allows; deployments set it as PREFECT_FLOWS_HEARTBEAT_FREQUENCY."""
_ENDINGS = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled", "Crashed", "AwaitingRetry")}


def automations(
    silence: timedelta = timedelta(seconds=3 * HEARTBEAT_SECONDS), settle: timedelta = timedelta(seconds=30)
) -> list[Automation]:
    """The two automations.

    ``silence`` is how long a run may be without a heartbeat before it counts as dead, ``settle`` how long one that was
    reported as crashed is left alone before it is begun again.
    """
    runs = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
    ours = ResourceSpecification({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"})
    return [
        Automation(
            name="ntkdist: a run without a heartbeat is begun again",
            description=f"No heartbeat for {silence.total_seconds():g} s: the process is gone; the store resumes.",
            trigger=EventTrigger(
                match=runs,
                match_related=ours,
                after={"prefect.flow-run.heartbeat"},
                expect={"prefect.flow-run.heartbeat", *_ENDINGS},
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=silence,
            ),
            actions=[_again("The run's heartbeat stopped.")],
        ),
        Automation(
            name="ntkdist: a crashed run is begun again",
            description="Its process was killed, and the worker that had started it said so; the store resumes.",
            # Not at once: runner and worker both report a death, and the second report must not meet a run that lives.
            trigger=EventTrigger(
                match=runs,
                match_related=ours,
                after={"prefect.flow-run.Crashed"},
                expect={f"prefect.flow-run.{name}" for name in ("AwaitingRetry", "Pending", "Running")},
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=settle,
            ),
            actions=[_again("The run's process was killed.")],
        ),
    ]


def _again(message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(name="AwaitingRetry", state=StateType.SCHEDULED, message=message, force=True)


def install(silence: timedelta, settle: timedelta = timedelta(seconds=30)) -> list[tuple[str, bool]]:
    """Create the automations on the configured server, or bring existing ones up to date; (name, whether new)."""
    done = []
    with get_client(sync_client=True) as client:
        for wanted in automations(silence, settle):
            known = client.read_automations_by_name(wanted.name)
            core = AutomationCore(**wanted.model_dump(exclude={"id", "owner_resource"}))
            if known:
                client.update_automation(known[0].id, core)
            else:
                client.create_automation(core)
            done.append((wanted.name, not known))
    return done


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def automations_command(
    silence: Annotated[
        float, typer.Option(min=10.0, help="Seconds without a heartbeat after which a run counts as dead.")
    ] = 3.0 * HEARTBEAT_SECONDS,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Install the automations on the Prefect server that PREFECT_API_URL names."""
    server = PREFECT_API_URL.value()
    if not server:
        raise InputError(
            "PREFECT_API_URL names no server, and automations on one that ends with this command do nothing."
        )
    try:
        done = install(timedelta(seconds=silence))
    except httpx.TransportError as error:
        raise InputError(
            f"No Prefect server answers at {server} ({error}): start it, or correct PREFECT_API_URL."
        ) from error
    for name, new in done:
        out.print(plain(f"{'created' if new else 'updated'}: {name}"), markup=False, soft_wrap=True)


if __name__ == "__main__":
    guarded(app, "python -m flows.automations")
