"""Telling people how a flow run ended, through a notification block of theirs (Slack, e-mail, a webhook, …).

The environment variable ``NTKDIST_NOTIFY`` names the block as ``type/name``, e.g. ``slack-webhook/ntk``; the address
and its secrets stay in Prefect.  ``NTKDIST_NOTIFY_ON`` lists the endings to tell (default ``failed,crashed``;
``completed`` may be added).  A message that cannot be delivered is logged by Prefect and changes nothing else.
"""

from __future__ import annotations

import os
from typing import Any

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.schemas.objects import Flow as FlowDocument
from prefect.client.schemas.objects import FlowRun, State

from ntkdist.errors import InputError


def tell(flow: FlowDocument, flow_run: FlowRun, state: State[Any]) -> None:
    """Send one sentence about an ended flow run; nothing unless ``NTKDIST_NOTIFY`` is set.

    Raises
    ------
    InputError
        The block of that name is not one that notifies.
    """
    name = os.environ.get("NTKDIST_NOTIFY", "").strip()
    wanted = os.environ.get("NTKDIST_NOTIFY_ON", "failed,crashed").lower().split(",")
    if not name or state.type.value.lower() not in {item.strip() for item in wanted}:
        return
    block: Any = Block.load(name)
    if not isinstance(block, NotificationBlock):
        raise InputError(f"NTKDIST_NOTIFY: the block {name} is a {type(block).__name__}, which does not notify.")
    sentence = state.message or "no message"
    notify: Any = block.notify
    notify(
        f"{flow.name} run {flow_run.name} is {state.name}: {sentence}", subject=f"ntkdist: {flow_run.name} {state.name}"
    )


HOOKS: dict[str, Any] = {"on_completion": [tell], "on_failure": [tell], "on_crashed": [tell]}
