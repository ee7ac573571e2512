"""What of the gateway users meet: the apps' routes, every AI model under a path of its own, what stands before all.

It changes only after the same change was rehearsed on the previews (`gateway.py`), and once it is in force and every
check passes on the way that users take, it is kept in Kong itself (`bluegreen keep`), where `bluegreen rollback kong`
finds it without Pulumi. Traffic does not wait for it: a rollback must not be held up by a gateway that fails.
"""

import pulumi
from pulumi_command import local

from bluegreen.coherence import FRONTS
from bluegreen.config import Model, Route
from bluegreen.kong.ownership import FRONT, KEPT
from bluegreen.settings import Settings
from components.entities import Entities
from components.gateway import Gateway


class Front(Entities):
    """Everything that stands in Kong on the way that users take, except where traffic goes."""

    def __init__(self, settings: Settings, *, gateway: Gateway) -> None:
        rehearsed = verb("gateway-rehearsed", "rehearse", settings, after=gateway.made, parent=gateway)
        super().__init__("front", settings, tags=[FRONT], after=[*gateway.made, rehearsed], once=gateway)
        everywhere = self.plugins("gateway", settings.gateway.plugins)
        self._after += everywhere  # no route is open before it
        for app in settings.order():
            for name, route in settings.apps[app].routes.items():
                self.route(settings.route_name(app, name), app, route, settings.plugins(app, route))
        for model in settings.gateway.models:
            self._model(model)
        self.witness(FRONTS)
        self.register_outputs({})

    def keep(self, settings: Settings, *, after: list[pulumi.Resource]) -> None:
        """Once everything `after` is done: every check on the way of users, then remembered as the last good one.

        It is remembered on a route that nobody meets: no one sends its header. That route comes last of all that users
        need, so `pulumi destroy` meets it first; where the stack is protected, it stops there, and nothing is gone.
        """
        hidden = Route(paths=["/"], headers={"X-Bluegreen-Kept": ["nobody"]})
        self.route(KEPT, None, hidden, {}, *self.made, *after, protect=settings.protect)
        verb("gateway-kept", "keep", settings, after=[*self.made, *after], parent=self)

    def _model(self, model: Model) -> None:
        """A model that somebody else serves. A request that may have been taken is never sent twice: it is paid for."""
        name, patience = model.entity, model.timeout_seconds * 1000
        service = self.service(
            name,
            protocol="https",
            host=model.host,
            port=443,
            path=model.path,
            retries=0,
            read_timeout=patience,
            write_timeout=patience,
        )
        # A plain prefix /ai/q1 would take /ai/q10 as well; answers come as streams, so Kong must not collect them.
        route = Route(paths=[f"~/ai/{model.name}(/|$)"], strip_path=True, response_buffering=False)
        self.route(name, name, route, self._settings.types(model.type), service)


def verb(
    name: str, said: str, settings: Settings, *, after: list[pulumi.Resource], parent: pulumi.Resource
) -> local.Command:
    """A verb of ours that runs once for every gateway, and stops the update when it fails."""
    return local.Command(
        name,
        create=f"exec bin/bluegreen {said} --stack {pulumi.get_stack()}",
        triggers=[settings.gateway_id],
        # One that failed must not be taken for the one before it: it is asked again, whatever the config says then.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=after, delete_before_replace=True),
    )
