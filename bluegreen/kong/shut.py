"""Routes that are there and take nobody yet, so that what guards a route stands before anybody can meet it.

Kong hangs a plugin on a route that exists, and a route that exists is met. So whoever comes first makes the route
shut: no service behind it, and a header that nobody sends. The plugins are hung on it, and the route's own declaration
then opens it with one write. It deliberately knows no rules of routes: they come with that write.
"""

from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.collection import Collection, Row
from bluegreen.kong.ownership import OWNER
from bluegreen.kong.schema import Tree

ROUTES = Row("routes", "route", refers=("service",))
SHUT: Tree = {"paths": ["/"], "headers": {"X-Bluegreen-Shut": ["nobody"]}}


def is_shut(route: Entity) -> bool:
    """Whether this route waits for its declaration."""
    return route.get("service") is None and route.get("headers") == SHUT["headers"]


async def must_be_there(kong: Kong, route: str, wanted: Tree) -> None:
    """The route on which a plugin of ours is to stand; one that is missing is made shut, with the plugin's marks.

    Raises:
        Refused: there is one, and it is not ours.
    """
    marks = {name: wanted[name] for name in (OWNER, "tags") if name in wanted}
    await Collection(kong, ROUTES).find_or_make({"name": route, **marks, **SHUT})
