"""An event as JSON, for whatever a team runs itself. The shape is a promise: docs/notifications.md shows it.

`schemaVersion` rises only when a field goes or changes its meaning; a further field does not raise it. It deliberately
carries no address and no release beside what the teller put into `facts`.
"""

from datetime import UTC

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from bluegreen.event import Event
from bluegreen.notify.audience import Audience, audience

SCHEMA_VERSION = 1


def webhook(url: str, *, run: str) -> Audience:
    """The webhook at this address; `run` is the id that all events of one process carry.

    Raises:
        Refused: nothing can be sent to such an address.
    """
    return audience("The webhook", "bluegreen:webhookUrl", url, lambda event: payload(event, run))


def payload(event: Event, run: str) -> dict[str, JsonValue]:
    """The event, whole. A number that JSON cannot say (a bound without end) is null."""
    # `project.stack`: both may hold a dot, and a stack's name rarely does.
    project, _, stack = event.owner.rpartition(".")
    return {
        "schemaVersion": SCHEMA_VERSION,
        "kind": event.kind,
        "owner": event.owner,
        "project": project,
        "stack": stack,
        "app": event.app,
        "text": event.text,
        "at": event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "facts": to_jsonable_python(event.facts, inf_nan_mode="null", fallback=str),
        "runId": run,
    }
