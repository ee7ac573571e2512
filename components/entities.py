"""What every part of the gateway is made of: entities that carry this stack's mark, each after what it needs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from bluegreen.config import Route
from bluegreen.kong.spec import PluginSpec, RouteSpec, ServiceSpec
from bluegreen.settings import Settings
from components import resources as kong

Plugins = Mapping[str, Mapping[str, Any]]


class Entities(pulumi.ComponentResource):
    """A part of the gateway.

    Args:
        tags: what every route, plugin and service of this part carries beside its owner.
        after: what has to be done before anything here is touched.
        once: what these entities were children of in earlier versions, so that they keep their place in state.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        tags: Sequence[str] = (),
        after: Sequence[pulumi.Resource] = (),
        once: pulumi.Resource | None = None,
    ) -> None:
        super().__init__(f"bluegreen:components:{name.capitalize()}", name)
        self.made: list[pulumi.Resource] = []
        self._settings, self._after, self._once = settings, list(after), once
        self._tags: dict[str, Any] = {"tags": list(tags)} if tags else {}

    def service(self, name: str, *after: pulumi.Resource, **fields: Any) -> kong.KongService:
        spec = ServiceSpec(owner=self._settings.owner, name=name, **self._tags, **fields)
        opts = self._options(*after, was=("service", name))
        service: kong.KongService = self._made(kong.KongService(name, spec, opts))
        return service

    def route(
        self,
        name: str,
        service: str | None,
        route: Route,
        plugins: Plugins,
        *after: pulumi.Resource,
        protect: bool = False,
    ) -> None:
        """A route of ours, open once everything that stands on it does; one without a service is answered by that.

        What was there before us is open already, and is marked as ours before anything of ours is hung on it.
        """
        rules: dict[str, Any] = {**route.model_dump(exclude={"plugins"}, exclude_unset=True), **self._tags}
        rules |= {} if service is None else {"service": service}
        spec = RouteSpec(owner=self._settings.owner, name=name, **rules)
        was = ("route", name)
        if self._settings.imported(*was):
            self.plugins(name, plugins, self._made(kong.Route(name, spec, self._options(*after, was=was))), route=name)
            return
        stands = self.plugins(name, plugins, *after, route=name)
        options = self._options(*after, *stands, was=was)
        options.protect = protect or None
        self._made(kong.Route(name, spec, options))

    def plugins(self, prefix: str, plugins: Plugins, *after: pulumi.Resource, **on: str) -> Sequence[pulumi.Resource]:
        """Plugins on a route or a service of ours (`route="api"`), or on everything."""
        return [self.plugin(f"{prefix}-{plugin}", plugin, config, *after, **on) for plugin, config in plugins.items()]

    def plugin(
        self, name: str, plugin: str, config: Mapping[str, Any], *after: pulumi.Resource, **fields: Any
    ) -> pulumi.Resource:
        secrets = self._settings.secrets.plugins.get(plugin)
        given = {**self._tags, **({"secrets": secrets} if secrets else {}), **fields}
        spec = PluginSpec(owner=self._settings.owner, instance_name=name, name=plugin, config=config, **given)
        made: pulumi.Resource = self._made(kong.Plugin(name, spec, self._options(*after, was=("plugin", name))))
        return made

    def witness(self, part: str) -> None:
        """A path that answers with this gateway's id once everything made so far is in force on whoever answers."""
        settings, everything = self._settings, list(self.made)
        id = settings.gateway_id
        said = {"request-termination": {"status_code": 200, "message": id}}
        self.route(settings.witness_name(part), None, Route(paths=[settings.witness_path(part, id)]), said, *everything)

    def _made(self, entity: Any) -> Any:
        self.made.append(entity)
        return entity

    def _options(self, *after: pulumi.Resource, was: tuple[str, str] | None = None) -> pulumi.ResourceOptions:
        """`was` is the kind and the name under which `adopt` may know it: what was there before us outlives us."""
        before = [pulumi.Alias(parent=self._once)] if self._once is not None else None
        adopted = self._settings.imported(*was) if was is not None else None
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=[*self._after, *after],
            aliases=before,
            import_=adopted,
            retain_on_delete=True if adopted else None,
        )
