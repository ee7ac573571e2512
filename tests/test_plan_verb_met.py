"""`bluegreen plan` and what it may meet: nothing to do, a silent gateway, a preview that stops, words of others."""

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.cli.plan import Checked, plan
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.gateway import Hold
from bluegreen.handler import Refused
from bluegreen.planning.colours import short, tags
from bluegreen.planning.deciding import since
from bluegreen.planning.document import Planned, Policy, Unchecked
from bluegreen.planning.markdown import LONGEST, markdown
from bluegreen.planning.previewed import previewed
from bluegreen.planning.steps import clock
from tests.memory import START
from tests.status_room import DIGESTS, OWNER, Shop, block, play

URN = "urn:pulumi:test::shop::"
NEW = "c" * 64
IMAGE = "ghcr.io/acme/backend@sha256:"


def step(op: str, type: str, name: str, **given: Any) -> dict[str, Any]:
    return {"op": op, "urn": f"{URN}{type}::{name}", **given}


def service(shop: Shop, colour: str, op: str = "same", **release: Any) -> dict[str, Any]:
    """A step on a service that runs what the shop's config says, unless `release` says what it ran before."""
    now = shop.app()[colour]
    inputs = {"app": "backend", "colour": colour, "release": {**now, **release}}
    ran = {"releaseId": "f" * 16 if release else shop.release(colour), "image": {**now, **release}["image"]}  # type: ignore[arg-type]
    old, new = {"inputs": inputs, "outputs": ran}, {"inputs": {**inputs, "release": now}}
    kind = "bluegreen:components:Colour$bluegreen:railway:Service"
    return step(op, kind, f"backend-{colour}", oldState=old, newState=new)


def passed(shop: Shop, goal: str, hours: int, **given: Any) -> dict[str, Any]:
    at = (START - timedelta(hours=hours)).isoformat()
    release = {"release": shop.release(goal), **given}  # type: ignore[arg-type]
    return {"app": "backend", "kind": "rollout", "verdict": "passed", "goal": goal, "finished": at, **release}


def seen(shop: Shop, *steps: Mapping[str, Any], **told: Any) -> None:
    """What pulumi says: the state after green, then blue was live; and this preview."""
    history = [passed(shop, "green", 9), passed(shop, "blue", 2, origin="green")]
    releases = {colour: shop.release(colour) for colour in ("blue", "green")}
    state = shop.state(history, releases)  # type: ignore[arg-type]
    shop.pulumi(stack=state, preview={"out": json.dumps({"steps": list(steps)}), **told})


async def planned(shop: Shop, **options: Any) -> tuple[Outcome, Planned]:
    async with shop.desk() as desk:
        outcome = await plan(desk, **options)
    assert isinstance(outcome.facts, Planned)
    return outcome, outcome.facts


async def checked(shop: Shop, file: Path) -> Outcome:
    async with shop.desk() as desk:
        return await plan(desk, check=file)


def test_nothing_to_do_is_told_as_that(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        seen(shop, service(shop, "blue"), service(shop, "green"))
        outcome, facts = await planned(shop)
        assert (outcome.exit, facts.title, facts.steps) == (Exit.OK, "nothing changes", ())
        assert facts.users == "Nothing new: backend stays on blue."
        assert [app.after.possible for app in facts.apps] == [True]
        assert "policies: no pack was named (--policy-pack policies)" in outcome.what
        assert outcome.what.startswith(f"<!-- bluegreen plan {OWNER} -->\n### ✓ test: nothing changes\n")

    play(tmp_path, scene)


def test_an_idle_deploy_that_takes_the_way_back_is_a_risk(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        ran = shop.release("green")
        history = [passed(shop, "green", 9), passed(shop, "blue", 2, origin="green")]
        state = shop.state(history, {"blue": shop.release("blue"), "green": ran})
        shop.app()["green"] = block("green", image=f"{IMAGE}{NEW}")
        old = service(shop, "green", "update", image=f"{IMAGE}{DIGESTS['green']}")
        old["oldState"]["outputs"]["releaseId"] = ran
        shop.pulumi(stack=state, preview={"out": json.dumps({"steps": [service(shop, "blue"), old]})})
        _, facts = await planned(shop)
        [app] = facts.apps
        assert (facts.title, app.now.possible, app.after.possible) == ("deploy backend green", True, False)
        assert facts.risks[0].startswith("It takes the way back of backend, which is there now: possible until ")
        assert "this change deploys another release on green" in app.after.why

    play(tmp_path, scene)


def test_names_of_variables_are_told_and_never_their_values(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        shop.app()["green"] |= {"variables": {"NEW": "hush-1", "SAME": "hush-2", "OTHER": "hush-3"}}
        was = {"GONE": "hush-4", "SAME": "hush-2", "OTHER": "hush-5"}
        changed = service(shop, "green", "update", variables=was, port=9000)
        changed["detailedDiff"] = {"secrets.KEY": {"kind": "update"}}
        for side in ("oldState", "newState"):
            changed[side]["inputs"]["secrets"] = {"KEY": "[secret]"}
        seen(shop, service(shop, "blue"), changed)
        outcome, facts = await planned(shop)
        green = next(side for side in facts.apps[0].sides if side.colour == "green")
        names = green.variables
        assert (names.added, names.removed, names.changed) == (("NEW",), ("GONE",), ("KEY", "OTHER"))
        assert [(shift.path, shift.before, shift.after) for shift in green.container] == [("port", "9000", None)]
        assert "hush" not in outcome.what + facts.model_dump_json()

    play(tmp_path, scene)


def test_how_long_a_rollout_takes_is_the_sum_of_its_stages(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        shop.app()["live"] = "green"
        metric = {"name": "errors", "probe": {}, "thresholdRange": {"max": 1}}
        judged = {"duration": "30s", "metrics": [metric], "minRequests": 20}
        steps = [{"setWeight": 5}, {"pause": "10s"}, {"setWeight": 50}]
        shop.config["shop:rollout"] = {"steps": steps, "stepAnalysis": judged, "postPromotionAnalysis": judged}
        seen(shop, service(shop, "blue"), service(shop, "green"))
        shop.pulumi(stack=shop.state(), preview={"out": json.dumps({"steps": []})})
        _, facts = await planned(shop)
        [leg] = facts.traffic.legs
        expected = ("5 %", "analysis of 30 s", "pause 10 s", "50 %", "analysis of 30 s", "100 %")
        assert (leg.stages, leg.seconds, facts.traffic.seconds) == (expected, 70.0, 100.0)
        assert not any("No analysis" in risk for risk in facts.risks)

    play(tmp_path, scene)


def test_a_plan_holds_until_something_that_decides_is_not_as_it_was(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        seen(shop, service(shop, "blue"), service(shop, "green"))
        file = shop.folder / "plan.json"
        await planned(shop, save=file, out=shop.folder / "plan.md")
        assert (await checked(shop, file)).exit == Exit.OK

        await shop.put("green", 30)
        await shop.put("blue", 70)
        outcome = await checked(shop, file)
        assert outcome.exit == Exit.REFUSED
        assert "kong.backend.blue.weight: 100 → 70; kong.backend.green.weight: 0 → 30" in outcome.what

        await shop.put("green", 0)
        await shop.put("blue", 100, hold=Hold("ann@ops", START, "logins fail"))
        assert "kong.backend.hold: held by ann@ops since " in (await checked(shop, file)).what

        await shop.put("blue", 100, hold=None)
        shop.app()["green"]["image"] = f"{IMAGE}{NEW}"
        outcome = await checked(shop, file)
        named = f"backend.green.image: {IMAGE}{'b' * 12} → {IMAGE}{'c' * 12}; backend.green.release: "
        assert (outcome.exit, named in outcome.what, outcome.what.endswith(".")) == (Exit.REFUSED, True, True)
        assert isinstance(outcome.facts, Checked)
        assert [each.partition(":")[0] for each in outcome.facts.since] == [
            "backend.green.image",
            "backend.green.release",
        ]

    play(tmp_path, scene)


def test_what_is_no_plan_of_this_stack_is_refused(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        seen(shop)
        file = shop.folder / "plan.json"
        _, facts = await planned(shop, save=file)
        told = json.loads(file.read_text(encoding="utf-8"))
        wrong = {
            "is no plan": "[]",
            "is a plan of shop.other": json.dumps({**told, "owner": "shop.other"}),
            "was changed since": json.dumps({**told, "decides": {**facts.decides, "backend.live": "green"}}),
            "that this version can check": json.dumps({**told, "schemaVersion": 2}),
            "would stop: Policy digests is broken": json.dumps({**told, "refused": ["Policy digests is broken."]}),
        }
        for said, text in wrong.items():
            file.write_text(text, encoding="utf-8")
            with pytest.raises(Refused, match=said):
                await checked(shop, file)
        with pytest.raises(Refused, match="cannot be read: No such file"):
            await checked(shop, shop.folder / "none.json")
        with pytest.raises(Refused, match="--check goes alone"):
            await planned(shop, check=file, save=file)

    play(tmp_path, scene)


def test_a_silent_gateway_is_told_and_what_was_recorded_stands_in(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        shop.app()["live"] = "green"
        seen(shop, service(shop, "blue"), service(shop, "green"))
        shop.config["bluegreen:kongAdminUrl"] = "http://127.0.0.1:9"
        outcome, facts = await planned(shop)
        [missing] = [each for each in facts.unchecked if each.what == "the gateway"]
        assert missing.why.endswith("; what the last update recorded stands in")
        assert [(leg.origin, leg.goal) for leg in facts.traffic.legs] == [("blue", "green")]
        assert facts.decides["kong.backend"] is None
        assert "Not checked: 2 things" in outcome.what

    play(tmp_path, scene)


def test_a_preview_that_stops_is_told_with_its_reason_and_its_secrets_hidden(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        shop.config["shop:secrets"] = {"releaseKey": "sesame-sesame", "backend": {"blue": {"KEY": "open-sesame-1"}}}
        seen(shop, code="255", out="", err="error: railway says no to open-sesame-1\n")
        outcome, facts = await planned(shop, out=shop.folder / "plan.md")
        assert (outcome.exit, facts.refused) == (Exit.REFUSED, ("railway says no to [secret]",))
        text = (shop.folder / "plan.md").read_text(encoding="utf-8")
        assert "**An update stops before it changes anything:**\n- railway says no to \\[secret\\]\n" in text
        assert "sesame" not in text + outcome.model_dump_json()

    play(tmp_path, scene)


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        seen(shop)
        with pytest.raises(Refused, match="cannot be written"):
            await planned(shop, out=shop.folder / "nowhere" / "plan.md")

    play(tmp_path, scene)


def test_the_command_takes_the_stack_as_its_first_word_and_shows_a_schema_version(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.both()
        seen(shop)
        config = {
            key: {"value": text if isinstance(text, str) else json.dumps(text)} for key, text in shop.config.items()
        }
        (shop.folder / "bin" / "config.out").write_text(json.dumps(config), encoding="utf-8")
        (shop.folder / "bin" / "config.err").write_text("", encoding="utf-8")
        (shop.folder / "bin" / "config.code").write_text("0", encoding="utf-8")
        shop.write()
        root, pipe = Path(__file__).resolve().parents[1], asyncio.subprocess.PIPE
        command = [str(root / "bin" / "bluegreen"), "plan", "test", "--json"]
        process = await asyncio.create_subprocess_exec(*command, cwd=shop.folder, stdout=pipe, stderr=pipe)
        out, err = await process.communicate()
        assert (process.returncode, json.loads(out)["facts"]["schemaVersion"]) == (0, 1), err

    play(tmp_path, scene)


def test_policies_are_read_from_the_log_and_what_is_mandatory_refuses() -> None:
    about = {"resourceUrn": f"{URN}bluegreen:railway:Service::backend-blue", "policyName": "image-pinned"}
    log = [
        {"policyAnalyzeSummaryEvent": {"passed": ["health-path"], "failed": ["image-pinned"]}},
        {"policyEvent": {**about, "enforcementLevel": "mandatory", "message": "it is not pinned\n"}},
        {"diagnosticEvent": {"severity": "error", "message": "preview failed"}},
        {"diagnosticEvent": {"severity": "debug", "message": "noise"}},
    ]
    found = previewed("", "\n".join(map(json.dumps, log)) + '\n{"cut', 255)
    [said] = found.objections
    assert (said.rule, said.level, said.resource, said.says) == (
        "image-pinned",
        "mandatory",
        "backend-blue",
        "it is not pinned",
    )
    assert (found.rules, found.refused) == (("health-path", "image-pinned"), ())


def test_words_of_others_make_no_tag_no_link_and_no_mention() -> None:
    evil = "<img src=x> @team [here](http://x) | `a` **b**"
    facts = Planned(stack=evil, title=evil, users=evil, risks=(evil,), unchecked=(Unchecked(what=evil, why=evil),))
    text = markdown(facts.model_copy(update={"operations": ("```", "</details> @team"), "refused": (evil,)}))
    shown, _, raw = text.partition("As the engine names it")
    assert not re.search(r"<img|@team|(?<!\\)\]\(http", shown)
    assert "\n````\n```\n</details> @team\n````\n" in raw


@pytest.mark.parametrize(("many", "long"), [(5000, 10), (3, 100_000)])
def test_a_comment_is_never_longer_than_one_may_be(many: int, long: int) -> None:
    words = tuple(f"{number} {'x' * long}" for number in range(many))
    policies = tuple(Policy(rule="a", level="advisory", resource=word, says=word) for word in words)
    facts = Planned(stack="s", title="t", users="u", risks=words, policies=policies, rules=("a",), operations=words)
    assert len(markdown(facts)) <= LONGEST


def test_the_tag_is_the_comment_beside_the_digest() -> None:
    text = f'a: "{IMAGE}{NEW}" # ghcr.io/acme/backend:v42\nb: {{image: {IMAGE}{DIGESTS["blue"]}}} # v7, since May\n'
    named = tags(text)
    assert named == {NEW: "ghcr.io/acme/backend:v42", DIGESTS["blue"]: "v7, since May"}
    assert [short(tag) for tag in ("ghcr.io/acme/backend:v42", "v42", "from main v42")] == ["v42", "v42", "v42"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (119, "119 s"), (120.4, "2 min 1 s"), (600, "10 min"), (9000, "2 h 30 min")]
)
def test_a_span_is_never_told_shorter_than_it_is(seconds: float, said: str) -> None:
    assert clock(seconds) == said


PATHS = st.dictionaries(st.sampled_from(["a.live", "a.blue.image", "kong.a"]), st.none() | st.sampled_from(["x", "y"]))


@given(PATHS, PATHS)
def test_every_difference_is_named_and_nothing_else(before: dict[str, str | None], now: dict[str, str | None]) -> None:
    absent = "absent"
    differ = {path for path in before.keys() | now.keys() if before.get(path, absent) != now.get(path, absent)}
    assert {said.partition(": ")[0] for said in since(before, now)} == differ
