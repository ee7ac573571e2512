"""One colour of one app: its Railway service, then the verification of its release.

This is the unit that others wait for: whoever depends on a Colour waits for its verification too. It knows no role,
so a colour keeps its URN whether it is live or idle.
"""

from collections.abc import Sequence

import pulumi
from pulumi_command import local

from bluegreen.settings import Settings
from bluegreen.spec import Colour as Slot
from components.resources import Service


class Colour(pulumi.ComponentResource):
    """A release that runs and was verified, beside whatever is live.

    The verification runs once per release: its command is a constant text (the verb reads the commands from the
    config, so editing them reruns nothing) and its triggers are the release and the service. A failure stops the
    update before any traffic moves; a rollback finds the pass in state and waits for nothing.
    """

    def __init__(self, app: str, colour: Slot, settings: Settings, *, after: Sequence[pulumi.Resource]) -> None:
        name = settings.service_name(app, colour)
        super().__init__("bluegreen:components:Colour", name, opts=pulumi.ResourceOptions(depends_on=after))
        mine = pulumi.ResourceOptions(parent=self, depends_on=after, protect=settings.protect or None)
        adopted = settings.imported("railway", name)  # what was there before us outlives us
        deadline = f"{settings.rollout.progress_deadline_seconds}s"
        timeouts = pulumi.CustomTimeouts(create=deadline, update=deadline)
        service = Service(
            name,
            settings.service(app, colour),
            pulumi.ResourceOptions.merge(
                mine,
                pulumi.ResourceOptions(
                    custom_timeouts=timeouts, import_=adopted, retain_on_delete=True if adopted else None
                ),
            ),
        )
        stack = pulumi.get_stack()
        # `exec`, so that a cancelled update reaches the verification and not only a shell around it.
        local.Command(
            f"{name}-verified",
            create=f"exec bin/bluegreen verify --stack {stack} --app {app} --colour {colour}",
            triggers=[settings.release_id(app, colour), service.serviceId],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*after, service], custom_timeouts=timeouts),
        )
        self.register_outputs({})
