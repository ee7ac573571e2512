"""Which services an adoption makes apps of, what they are called, and what it refuses to choose between.

Over both stand-ins, like `test_adopt_reading.py`, which tells what is read of a service that is chosen.
"""

from pathlib import Path

import pytest

from tests.test_adopt_reading import Yard, one, refusal, standing


def test_an_app_never_takes_the_name_of_an_upstream_that_is_there(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.way()
        await here.kong.made("PUT", "/upstreams/web-api", {})
        assert list((await here.adopt()).apps) == ["web-api-app"]
        problem = await refusal(here.adopt("web-api=web-api"))
        assert problem.what == "Kong has an upstream web-api already, so web-api cannot be the app web-api."

    standing(tmp_path, test)


def test_two_services_of_kong_that_lead_to_one_are_refused(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.way()
        await here.way("second")
        problem = await refusal(here.adopt())
        assert problem.what == "Kong's services legacy and second both lead to web-api, and an app has one service."
        assert problem.world == "Nothing was changed."

    standing(tmp_path, test)


def test_a_service_without_a_route_stands_in_no_other_s_way(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.kong.made("POST", "/services", {"name": "before", "host": "web-api.railway.internal", "port": 3000})
        assert "no route leads to it" in (await refusal(here.adopt("web-api"))).what
        await here.way()
        facts = await here.adopt()
        assert facts.apps["web-api"].kong == "legacy"
        assert "Kong's service before is not adopted: no route leads to it" in facts.left

    standing(tmp_path, test)


def test_two_apps_whose_routes_would_be_one_are_refused(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service("a")
        await here.service("a-b")
        await here.way("one", "a.railway.internal", route={"name": "b-v1"})
        await here.way("two", "a-b.railway.internal", route={"name": "v1"})
        problem = await refusal(here.adopt())
        assert "would be the route a-b-v1, and so would" in problem.what
        assert "--app SERVICE=NAME" in problem.next
        assert list((await here.adopt("a", "a-b=other")).apps) == ["a", "other"]

    standing(tmp_path, test)


def test_a_way_through_an_upstream_counts_like_any_other(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.way()
        await here.kong.made("PUT", "/upstreams/pool", {})
        target = {"target": "web-api.railway.internal:3000", "weight": 100}
        await here.kong.made("POST", "/upstreams/pool/targets", target)
        await here.way("pooled", "pool")
        problem = await refusal(here.adopt())
        assert problem.what == "Kong's services legacy and pooled both lead to web-api, and an app has one service."
        await here.kong.made("PATCH", "/upstreams/pool/targets/web-api.railway.internal:3000", {"weight": 0})
        assert list((await here.adopt()).apps) == ["web-api"]

    standing(tmp_path, test)


def test_a_service_whose_host_is_the_name_of_an_upstream_is_left_alone(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.kong.made("PUT", "/upstreams/web-api.railway.internal", {})
        await here.way()
        assert "its host is the name of an upstream" in (await refusal(here.adopt())).what

    standing(tmp_path, test)


def test_two_services_that_would_be_one_app_are_refused_and_may_be_named_apart(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        for colour in ("blue", "green"):
            await here.service(f"shop-{colour}")
            await here.way(colour, f"shop-{colour}.railway.internal")
        problem = await refusal(here.adopt())
        assert problem.what == (
            "shop-blue and shop-green would both be the app shop, and both are reached through Kong."
        )
        assert "is no name of an app" in (await refusal(here.adopt("shop-blue=2 Shops"))).what
        assert list((await here.adopt("shop-blue", "shop-green=store")).apps) == ["shop", "store"]

    standing(tmp_path, test)


@pytest.mark.parametrize("order", [("web", "web-app"), ("web-app", "web")])
def test_two_services_never_become_one_app_by_the_name_that_one_falls_back_to(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    async def test(here: Yard) -> None:
        for name in order:
            await here.service(name, variables={f"OF_{name.replace('-', '_').upper()}": name})
        await here.way("x", "web.railway.internal")
        await here.way("web", "web-app.railway.internal")
        problem = await refusal(here.adopt())
        assert (problem.what, problem.next) == (
            "web-app and web would both be the app web-app, and both are reached through Kong.",
            "Give it another name: --app web=NAME.",
        )
        facts = await here.adopt("web=shop", "web-app")
        assert {"shop": "web", "web-app": "web-app"} == {app: each.service for app, each in facts.apps.items()}
        mine = {"velro:secrets.shop.green.OF_WEB", "velro:secrets.web-app.green.OF_WEB_APP"}
        assert mine == {key for key in facts.encrypted if ".green." in key}

    standing(tmp_path, test)


def test_two_apps_never_have_one_service_in_kong(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        for name in ("shop", "admin"):
            await here.service(name)
            await here.way(f"legacy-{name}", f"{name}.railway.internal")
        problem = await refusal(here.adopt("admin=shop-blue", "shop"))
        assert problem.what == (
            "shop and admin would be the apps shop and shop-blue, and both would have a service shop-blue in Kong."
        )
        assert problem.next == "Give it another name: --app admin=NAME."

    standing(tmp_path, test)


def test_a_name_that_would_grow_too_long_is_not_chosen(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        name = "a" * 40
        await here.service(name)
        await here.way(host=f"{name}.railway.internal")
        await here.kong.made("PUT", f"/upstreams/{name}", {})
        problem = await refusal(here.adopt())
        assert problem.what == f"Kong has an upstream {name} already, so {name} cannot be the app {name}."

    standing(tmp_path, test)


def test_a_host_in_capitals_is_the_same_host_and_stays_as_it_is_written(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.way(host="Web-API.railway.internal")
        facts = await here.adopt()
        assert facts.apps["web-api"].service == "web-api"
        assert one(facts)["kong"]["host"] == "Web-API.railway.internal"
        await here.way("second")
        assert "both lead to web-api" in (await refusal(here.adopt())).what

    standing(tmp_path, test)


@pytest.mark.parametrize(("name", "host"), [("Web API", "web-api"), ("web--api", "web--api")])
def test_a_railway_service_whose_name_no_colour_can_have_is_left_alone(tmp_path: Path, name: str, host: str) -> None:
    async def test(here: Yard) -> None:
        await here.service("other")
        await here.way("fine", "other.railway.internal")
        id = await here.service("to-rename")
        next(each for each in here.railway.store.world.services if each.id == id).name = name
        await here.way(host=f"{host}.railway.internal")
        plain = "lower-case letters and digits, with single hyphens between"
        why = f"Railway calls its service {name!r}, and an app's has {plain}"
        facts = await here.adopt()
        assert list(facts.apps) == ["other"]
        assert [each for each in facts.left if why in each] == [f"Kong's service legacy is not adopted: {why}"]
        problem = await refusal(here.adopt(f"{name}=web"))
        assert problem.what == f"{name} cannot be adopted by Kong's service legacy: {why}."

    standing(tmp_path, test)


def test_a_service_and_a_route_that_have_no_name_in_kong_are_adopted_by_their_ids(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        made = await here.kong.made("POST", "/services", {"host": "web-api.railway.internal", "port": 3000})
        routes = [
            await here.kong.made("POST", f"/services/{made['id']}/routes", {"paths": [path]}) for path in ("/a", "/b")
        ]
        facts = await here.adopt()
        assert facts.apps["web-api"].kong == made["id"]
        assert set(facts.apps["web-api"].routes) == {"main", "main-2"}
        adopted = facts.config["velro:adopt"]
        assert adopted["service/web-api"] == made["id"]
        assert {adopted["route/web-api-main"], adopted["route/web-api-main-2"]} == {each["id"] for each in routes}

    standing(tmp_path, test)


def test_a_service_of_another_environment_is_left_alone(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.service("other")
        await here.way()
        await here.way("fine", "other.railway.internal")
        world = here.railway.store.world
        (elsewhere,) = [each.id for each in world.services if each.name == "web-api"]
        world.instances[:] = [each for each in world.instances if each.service_id != elsewhere]
        facts = await here.adopt()
        assert list(facts.apps) == ["other"]
        why = "its Railway service has no instance in this environment"
        assert f"Kong's service legacy is not adopted: {why}" in facts.left
        assert why in (await refusal(here.adopt("web-api"))).what

    standing(tmp_path, test)


@pytest.mark.parametrize(
    ("apps", "said"),
    [
        (["web-api="], "--app web-api= is neither SERVICE nor SERVICE=NAME."),
        (["=shop"], "--app =shop is neither SERVICE nor SERVICE=NAME."),
        (["web-api=a", "web-api=b"], "--app web-api=b names web-api twice."),
    ],
)
def test_an_app_that_names_nothing_or_twice_is_refused(tmp_path: Path, apps: list[str], said: str) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        await here.way()
        assert said == (await refusal(here.adopt(*apps))).what

    standing(tmp_path, test)


def test_a_way_through_an_upstream_is_told_with_what_to_do_about_it(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        for name in ("web-api", "other"):
            await here.service(name)
        await here.kong.made("PUT", "/upstreams/pool", {})
        target = {"target": "web-api.railway.internal:3000", "weight": 100}
        await here.kong.made("POST", "/upstreams/pool/targets", target)
        await here.way("pooled", "pool")
        told = (
            "Kong's service pooled leads to the upstream pool, and only a service of one host can be adopted. Give the"
            " service pooled the host of its live target (web-api.railway.internal:3000) in Kong first"
        )
        assert (await refusal(here.adopt())).what.startswith(f"Nothing here can be adopted: {told}; No service of Kong")
        await here.way("fine", "other.railway.internal")
        assert told in (await here.adopt()).left

    standing(tmp_path, test)


def test_split_traffic_names_no_live_colour_and_is_refused(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service("shop-a")
        await here.kong.made("PUT", "/upstreams/shop", {})
        for name, weight in (("shop-a", 60), ("shop-b", 40)):
            target = {"target": f"{name}.railway.internal:3000", "weight": weight}
            await here.kong.made("POST", "/upstreams/shop/targets", target)
        await here.way(host="shop")
        for asked in ((), ("shop-a",)):
            what = (await refusal(here.adopt(*asked))).what
            assert "whose traffic is split (" in what
            assert "shop-a.railway.internal:3000 60" in what
            assert what.endswith("no colour is live.")

    standing(tmp_path, test)


def test_an_unknown_service_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    async def test(here: Yard) -> None:
        await here.service()
        problem = await refusal(here.adopt("shop"))
        assert (problem.what, problem.next) == ("Railway has no service shop here.", "It has web-api.")
        assert (await refusal(here.adopt("web-api"))).what == "No service of Kong leads to web-api."
        assert (await refusal(here.adopt())).what.startswith("Nothing here can be adopted: No service of Kong leads to")

    standing(tmp_path, test)
