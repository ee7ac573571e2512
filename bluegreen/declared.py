"""What of the gateway the config declares, by route: which plugins stand there, on previews and on the way of users.

The engine takes away what is declared no longer at the very end of an update, after everything else. So while a change
is rehearsed, and when it is kept, something may still stand that the config has not any more; whoever asks here can
tell it apart. The program that declares all of it cannot be asked, so names are derived once more, from the same
functions that it takes them from.
"""

from collections.abc import Mapping

from bluegreen.coherence import FRONTS, PREVIEWS, PROBE
from bluegreen.kong.ownership import KEPT
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS

EVERYWHERE = ""  # instead of a route: on the whole gateway
ANSWERING = "request-termination"
MARKING = "response-transformer"

Standing = Mapping[str, frozenset[str]]  # route -> types of plugins


def on_previews(settings: Settings, *, guarded: bool = False) -> Standing:
    """Every route that leads past the weights, and what stands on it.

    Args:
        guarded: there is a preview key, though it could not be read.
    """
    guards = {"key-auth", "acl"} if guarded or settings.secrets.preview_key is not None else set()
    whole = {*settings.gateway.plugins, *guards}
    found = {settings.witness_name(PREVIEWS): frozenset({ANSWERING})}
    for app in settings.order():
        for colour in COLOURS:
            found[settings.route_name(app, PROBE, colour)] = frozenset(guards)
            for name, route in settings.apps[app].routes.items():
                stands = {*whole, *settings.plugins(app, route), MARKING}
                found[settings.route_name(app, name, colour)] = frozenset(stands)
    for kind in settings.model_kinds():
        found[settings.rehearsal_name(kind)] = frozenset({*whole, *settings.types(kind), ANSWERING})
    return found


def before_users(settings: Settings) -> Standing:
    """Every route that users meet, and what stands on it; and on the whole gateway."""
    found = {EVERYWHERE: frozenset(settings.gateway.plugins)}
    found |= {settings.witness_name(FRONTS): frozenset({ANSWERING}), KEPT: frozenset()}
    for app in settings.order():
        for name, route in settings.apps[app].routes.items():
            found[settings.route_name(app, name)] = frozenset(settings.plugins(app, route))
    for model in settings.gateway.models:
        found[model.entity] = frozenset(settings.types(model.type))
    return found
