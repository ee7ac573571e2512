"""What an adoption reads out of Railway and Kong, what it makes of it, and when it refuses: over both stand-ins.

Nothing is written anywhere here (`--dry-run`): `test_adopt.py` tells what comes of a config that is.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bluegreen.cli.adopt import Door, adopt
from bluegreen.cli.adoption import Match, draft
from bluegreen.cli.stack import CONFIG_FILE, Stack
from bluegreen.cli.stack_file import added, put
from bluegreen.connections import Connections
from bluegreen.handler import Halt, Refused
from bluegreen.http import Client
from bluegreen.kong.api import Kong
from bluegreen.kong.brownfield import Way, Ways
from bluegreen.kong.entities import ServiceHandler
from bluegreen.kong.spec import ServiceSpec
from bluegreen.railway.brownfield import Found
from bluegreen.settings import Settings
from sandbox.railway_images import Images
from tests import kong_room
from tests.railway_platform import ENVIRONMENT, PROJECT, REGION, TOKEN, WORKSPACE_TOKEN, Railway, faked
from tests.railway_room import Screen

BUILT = Images(built={"acme/web": "registry.sandbox/backend:v1"})
IMAGE = "registry.sandbox/backend:v1"


@dataclass
class Yard:
    """Both stand-ins, empty, and somebody who fills them by hand."""

    kong: kong_room.Room
    railway: Railway
    config: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    screen: Screen = field(default_factory=Screen)

    async def service(self, name: str = "web-api", **more: Any) -> str:
        """A service that runs."""
        template = {"healthcheckPath": "/health", **more.pop("template", {})}
        id = await self.railway.create(name, variables={"PORT": "3000", **more.pop("variables", {})})
        source = {"source": {"repo": "acme/web"}, "multiRegionConfig": {REGION: {"numReplicas": 1}}}
        await self.railway.configure(id, **{**source, **template})
        await self.railway.until(await self.railway.deploy(id), "SUCCESS")
        return id

    async def way(self, name: str = "legacy", host: str = "web-api.railway.internal", **more: Any) -> dict[str, Any]:
        """A service of Kong with one route."""
        route = {"name": f"{name}-v1", "paths": [f"/{name}"], **more.pop("route", {})}
        made: dict[str, Any] = await self.kong.made(
            "POST", "/services", {"name": name, "host": host, "port": 3000, **more}
        )
        return {"service": made, "route": await self.kong.made("POST", f"/services/{made['id']}/routes", route)}

    async def adopt(self, *apps: str, **given: Any) -> Any:
        """What would be written, as facts."""
        known = {
            "kongAdminUrl": f"http://127.0.0.1:{self.kong.kong.admin_port}",
            "railwayUrl": f"{self.railway.address}/graphql/v2",
            "railwayToken": TOKEN,
            **self.values,
        }
        connections = Connections({key: value for key, value in known.items() if value})
        door = Door(Stack("brown", "velro", "brown"), self.config, connections, self.screen)
        try:
            outcome = await adopt(door, app=list(apps), dry_run=True, **given)
        finally:
            await connections.close()
        assert outcome.facts is not None
        return outcome.facts


def standing(folder: Path, test: Callable[[Yard], Awaitable[None]]) -> None:
    """One test against fresh stand-ins."""

    @asynccontextmanager
    async def yard() -> AsyncIterator[Yard]:
        async with kong_room.room() as kong, faked(folder, images=BUILT) as (railway, _):
            yield Yard(kong, railway)

    async def inside() -> None:
        async with asyncio.timeout(60), yard() as here:
            await test(here)

    asyncio.run(inside())


async def refusal(adopting: Awaitable[Any]) -> Halt:
    with pytest.raises(Halt) as caught:
        await adopting
    return caught.value


def one(facts: Any) -> Mapping[str, Any]:
    """The only app's block."""
    ((_, app),) = facts.config["velro:apps"].items()
    block: Mapping[str, Any] = app
    return block


def test_every_field_that_is_not_kongs_default_is_written(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        rules = {"hosts": ["api.example.com"], "methods": ["GET"], "strip_path": False, "preserve_host": True}
        headers = {"headers": {"x-tenant": ["one"]}, "response_buffering": False, "path_handling": "v1"}
        await here.way(retries=1, connect_timeout=1000, write_timeout=2000, route={**rules, **headers})
        app = one(await here.adopt())
        assert app["kong"] == {
            "host": "web-api.railway.internal",
            "port": 3000,
            "retries": 1,
            "connectTimeout": 1000,
            "writeTimeout": 2000,
        }
        assert app["routes"]["legacy-v1"] == {
            "paths": ["/legacy"],
            "hosts": ["api.example.com"],
            "methods": ["GET"],
            "headers": {"x-tenant": ["one"]},
            "stripPath": False,
            "preserveHost": True,
            "pathHandling": "v1",
            "responseBuffering": False,
        }

    standing(tmp_path, test)


def test_a_name_may_be_chosen_and_a_service_that_is_called_green_is_green(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service("shop-green")
        await here.way(host="shop-green.railway.internal", route={"name": "store-v1"})
        facts = await here.adopt("shop-green=store")
        assert list(facts.apps) == ["store"]
        assert (one(facts)["live"], list(one(facts)["routes"])) == ("green", ["v1"])
        assert list(facts.first_release["store"]) == ["blue"]
        assert list((await here.adopt()).apps) == ["shop"]

    standing(tmp_path, test)


@pytest.mark.parametrize(
    ("plugin", "why"),
    [
        ({"name": "request-transformer", "config": {}}, "its config may hold what nobody may see"),
        ({"name": "cors", "enabled": False}, "it is switched off"),
        ({"name": "cors", "protocols": ["https"]}, "it has protocols or an order of its own"),
        (
            {
                "name": "rate-limiting",
                "config": {"minute": 5, "policy": "redis", "redis": {"host": "redis.internal", "password": "hidden"}},
            },
            "its config holds a secret",
        ),
    ],
)
def test_a_plugin_that_cannot_be_declared_stays_where_it_is(tmp_path: Path, plugin: Any, why: str) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        ids = await here.way()
        await here.kong.made("POST", f"/routes/{ids['route']['id']}/plugins", plugin)
        facts = await here.adopt()
        assert "plugins" not in one(facts)["routes"]["legacy-v1"]
        (said,) = [each for each in facts.left if plugin["name"] in each]
        assert why in said
        assert "hidden" not in facts.model_dump_json()

    standing(tmp_path, test)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"path": "/base"}, "it puts /base before every path"),
        ({"enabled": False}, "it is switched off"),
        ({"protocol": "grpc", "route": {"protocols": ["grpc"], "strip_path": False}}, "it speaks grpc"),
        ({"tags": ["owner:acme.production"]}, "it belongs to acme.production"),
    ],
)
def test_a_service_that_cannot_be_declared_is_left_alone(tmp_path: Path, fields: Any, why: str) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.service("other")
        await here.way(**fields)
        await here.way("fine", "other.railway.internal")
        facts = await here.adopt()
        assert list(facts.apps) == ["other"]
        assert [each for each in facts.left if each.startswith(f"Kong's service legacy is not adopted: {why}")]
        assert why in (await refusal(here.adopt("web-api"))).what

    standing(tmp_path, test)


def test_what_leads_elsewhere_is_told_and_left_alone(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.service("worker")
        await here.service("web-api-green")
        await here.way(tags=["team:shop"])
        await here.way("outside", "api.example.com")
        await here.kong.made("POST", "/plugins", {"name": "correlation-id"})
        left = "\n".join((await here.adopt()).left)
        assert "Kong's service outside leads to api.example.com, no service of this environment" in left
        assert "No service of Kong leads to web-api-green, worker in Railway: they stay as they are" in left
        assert "Railway has a service web-api-green already, and web-api's first release would be called so" in left
        assert "Kong's plugin correlation-id stands on everything, previews included: it stays as it is" in left
        assert "Kong's service legacy is tagged team:shop: the first update writes our tags in their place" in left

    standing(tmp_path, test)


def test_a_kong_that_has_a_stack_is_not_adopted_into_another(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.way()
        await here.kong.made("PUT", "/routes/gateway-kept", {"paths": ["/"]})
        assert (await refusal(here.adopt())).what.endswith("has a stack already: its route gateway-kept is there.")

    standing(tmp_path, test)


def test_public_domains_schedules_and_missing_replicas_are_told() -> None:
    template = {"cronSchedule": "* * * * *", "overlapSeconds": 7, "preDeployCommand": ["migrate"]}
    more: dict[str, Any] = {"domains": ("shop.up.railway.app",), "variables": {"PORT": "80"}, "template": template}
    service = Found("id", "shop", True, "an/image:v1", "an/image:v1", "/health", {}, **more)
    way = Way("kong", "legacy", "shop.railway.internal", 3000, {}, [], ["jwt"], {}, [])
    made = draft([Match("shop", "blue", "/health", way, service)], Ways([way], {}, []))
    left = "\n".join(made.left)
    assert "shop answers at shop.up.railway.app too, past Kong: whoever goes there is neither moved nor counted" in left
    assert "shop sleeps or runs by a schedule: green will not" in left
    assert "Railway does not say in which regions shop runs: write green.replicas" in left
    assert "shop has PORT 80, and Kong asks it at 3000: green gets 3000" in left
    assert "Kong's service legacy keeps its plugin jwt, and nothing declares it" in left
    first = made.other["shop"]
    assert (first["overlapSeconds"], first["preDeployCommand"]) == (7, "migrate")


def test_who_calls_past_kong_is_told_by_name_alone(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.way()
        await here.service("worker", variables={"API": "http://key:hidden@web-api.railway.internal:3000"})
        await here.service(
            "mailer",
            variables={"HOST": "${{ web-api.RAILWAY_PRIVATE_DOMAIN }}", "OTHER": "${{web.RAILWAY_PRIVATE_DOMAIN}}"},
        )
        facts = await here.adopt()
        assert [each for each in facts.left if each.startswith("mailer.HOST, worker.API in Railway lead to web-api")]
        assert "hidden" not in facts.model_dump_json()

    standing(tmp_path, test)


def test_only_a_variable_that_names_the_whole_host_leads_there(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service("api")
        await here.way(host="api.railway.internal")
        await here.service("one", variables={"API": "http://web-api.railway.internal:3000"})
        await here.service("two", variables={"API": "http://API.railway.internal:3000"})
        facts = await here.adopt()
        told = "two.API in Railway lead to api past Kong"
        assert [told] == [each.partition(":")[0] for each in facts.left if "past Kong" in each]

    standing(tmp_path, test)


def test_what_does_not_hang_together_is_refused_with_the_words_that_there_are(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.way()
        problem = await refusal(here.adopt("web-api=kong"))
        assert "velro:apps.kong: is a word of `bluegreen rollback` as well" in problem.what
        assert problem.next == (
            "Correct what Pulumi.brown.yaml says of it, or give other words: --app SERVICE=NAME, --health /path."
        )

    standing(tmp_path, test)


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_FILE, str(tmp_path / "gone" / "Pulumi.brown.yaml"))
    with pytest.raises(Refused, match=r"Pulumi\.brown\.yaml cannot be read or written: No such file or directory\."):
        put(Stack("brown", "velro", "brown"), {"velro:apps": {}}, {}, {})


def test_a_secret_that_somebody_has_written_stays(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service(variables={"ONE": "1", "TWO": "2", "THREE": "3"})
        await here.way()
        mine = {"web-api": {"green": {"ONE": "1", "TWO": "mine"}}}
        here.config = {"velro:secrets": json.dumps(mine)}
        facts = await here.adopt()
        assert ["velro:secrets.web-api.green.THREE"] == [key for key in facts.encrypted if ".green." in key]
        told = "secrets.web-api.green.TWO is written already and stays as it is: Railway has another value"
        assert [told] == [each for each in facts.left if each.startswith("secrets.")]

    standing(tmp_path, test)


def test_a_service_without_a_health_check_needs_to_be_told_one(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service(template={"healthcheckPath": None})
        await here.way()
        assert "web-api has no health check in Railway" in (await refusal(here.adopt())).what
        facts = await here.adopt(health="/health-z")
        assert one(facts)["blue"]["healthcheckPath"] == "/health-z"
        assert [each for each in facts.left if "Railway takes no health check with a hyphen" in each]

    standing(tmp_path, test)


@pytest.mark.parametrize(
    ("values", "config", "said"),
    [
        ({"railwayToken": ""}, {}, "token"),
        ({"railwayToken": "of-somebody-else"}, {}, "Project Token not found"),
        ({"kongAdminUrl": ""}, {}, "The address of Kong's Admin API is not configured."),
        (
            {},
            {"velro:railway": json.dumps({"projectId": PROJECT, "environmentId": "another"})},
            f"The Railway token belongs to environment {ENVIRONMENT}",
        ),
        (
            {"railwayToken": WORKSPACE_TOKEN, "railwayTokenKind": "workspace"},
            {},
            "A workspace token says nothing about the environment",
        ),
        ({}, {"velro:apps": "{}"}, "velro:apps is in the config of brown already."),
        ({}, {"velro:adopt": "{}"}, "velro:adopt is in the config of brown already."),
        ({}, {"velro:railway": "{}"}, "velro:railway is no place"),
        ({}, {"velro:gateway": "5"}, "velro:gateway in the config of brown is no block of keys."),
        ({}, {"velro:secrets": "text"}, "velro:secrets in the config of brown is no block of keys."),
        ({}, {"velro:secrets": '{"web-api": "x"}'}, "velro:secrets.web-api is no block of keys."),
    ],
)
def test_what_is_missing_or_wrong_is_one_sentence(tmp_path: Path, values: Any, config: Any, said: str) -> None:
    async def test(here: Yard) -> None:
        await here.service(variables={"LEVEL": "debug"})
        await here.way()
        here.values, here.config = values, config
        problem = await refusal(here.adopt())
        assert said in problem.what
        assert problem.world == "Nothing was changed."

    standing(tmp_path, test)


def test_only_references_stay_plain(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        both = {"URL": "${{shared.HOST}}${{shared.PATH}}", "MIXED": "https://u:p@${{shared.HOST}}", "PLAIN": "x"}
        await here.service(variables=both)
        await here.way()
        facts = await here.adopt()
        assert facts.first_release["web-api"]["green"]["variables"] == {"URL": both["URL"]}
        hidden = [key for key in facts.encrypted if ".green." in key]
        assert hidden == ["velro:secrets.web-api.green.MIXED", "velro:secrets.web-api.green.PLAIN"]

    standing(tmp_path, test)


def test_an_imported_service_is_led_nowhere_before_somebody_answers_there(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        id = (await here.way())["service"]["id"]
        async with Client("Kong", f"http://127.0.0.1:{here.kong.kong.admin_port}", hint="") as client:
            handler, ctx = ServiceHandler(Kong(client)), here.screen
            held = await handler.read(ctx, id, None)
            assert held is not None
            wanted = ServiceSpec(owner="velro.brown", name="web-api", host="web-api", port=3000)
            refused = await refusal(handler.preview(ctx, wanted, held))
            assert "leads to web-api.railway.internal, and would be led to web-api, behind which nobody" in refused.what
            await here.kong.made("PUT", "/upstreams/web-api", {})
            await refusal(handler.update(ctx, wanted, held))
            row = await here.kong.made("GET", f"/services/{id}")
            assert (row["name"], row["host"]) == ("legacy", "web-api.railway.internal")
            await here.kong.made("POST", "/upstreams/web-api/targets", {"target": "10.0.0.1:3000", "weight": 100})
            await handler.update(ctx, wanted, held)
            assert (await here.kong.made("GET", f"/services/{id}"))["host"] == "web-api"

    standing(tmp_path, test)


def test_keys_are_added_beside_what_somebody_wrote() -> None:
    text = "# mine\nconfig:\n    # a note\n    acme:protect: true # kept\nencryptionsalt: v1:x\n"
    assert added(text, {"acme:apps": {"api": {"live": "blue"}}}) == (
        "# mine\nconfig:\n    acme:apps:\n      api:\n        live: blue\n"
        "    # a note\n    acme:protect: true # kept\nencryptionsalt: v1:x\n"
    )
    assert added("", {"acme:a": 1}) == "config:\n  acme:a: 1\n"
    assert added("encryptionsalt: v1:x\n", {"acme:a": 1}) == "encryptionsalt: v1:x\n\nconfig:\n  acme:a: 1\n"
    assert added("config: {}\n", {"acme:a": 1}) == "config:\n  acme:a: 1\n"
    with pytest.raises(Refused, match="laid out in a way"):
        added("config: {acme:b: 2}\n", {"acme:a": 1})


def settings(**app: Any) -> Settings:
    """A stack with one adopted app."""
    observed = {"observe": True, "serviceName": "web-api", "port": 3000}
    block = {"kind": "api", "live": "blue", "blue": observed, "kong": {"host": "web-api.railway.internal"}, **app}
    place = {"projectId": "p", "environmentId": "e"}
    return Settings.parse(
        "velro", "brown", {"velro:railway": json.dumps(place), "velro:apps": json.dumps({"api": block})}
    )


def test_what_users_reach_past_the_weights_stays_observed() -> None:
    assert settings().observed("api", "blue")
    image = "registry.sandbox/backend@sha256:" + "0" * 64
    release = {"image": image, "replicas": {REGION: 1}, "serviceName": "web-api"}
    with pytest.raises(Refused, match=r"apps\.api\.kong\.host: users go past the weights .* would be deployed over it"):
        settings(blue=release)
    with pytest.raises(Refused, match=r"Take it out before live changes"):
        settings(green={**release, "serviceName": "api-green"}, live="green")
