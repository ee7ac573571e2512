"""The provider as the engine meets it: over real gRPC, with the official stubs and an engine that keeps its log."""

import asyncio
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct

from bluegreen.handler import Held
from bluegreen.provider import wire
from bluegreen.provider.context import Row
from bluegreen.provider.protos import plugin_pb2, provider_pb2
from bluegreen.provider.wire import UNKNOWN, Bag
from tests.provider_engine import BED, BedSpec, BedState, Engine, failure, plain, run, secret, struct, who

LOAM: dict[str, Any] = {"soil": "loam"}
KEYED = Bag({**LOAM, "apiKey": "hunter2hunter2"}, frozenset({("apiKey",)}))
REFUSED, BUG = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INTERNAL
DIFFERENT, SAME = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE


def kinds(answer: provider_pb2.DiffResponse) -> dict[str, str]:
    assert all(change.inputDiff for change in answer.detailedDiff.values())
    return {path: provider_pb2.PropertyDiff.Kind.Name(change.kind) for path, change in answer.detailedDiff.items()}


# Check and Diff


def test_check_answers_with_the_inputs_to_keep() -> None:
    async def test(engine: Engine) -> None:
        answer = await engine.check({**LOAM, "lanes": {"a": {"live": "blue"}}, "role": None})
        assert {**LOAM, "lanes": {"a": {"live": "blue", "weights": {"blue": 100}}}} == plain(answer.inputs)
        assert [] == list(answer.failures)

    run(test)


def test_a_problem_is_a_sentence_of_its_own_and_belongs_to_no_property() -> None:
    async def test(engine: Engine) -> None:
        answer = await engine.check({**LOAM, "lanes": {"a": {"live": "red"}}, "soyl": 1})
        expected = [("", "lanes.a.live: Input should be 'blue' or 'green'"), ("", "soyl: unknown key")]
        assert expected == [(failed.property, failed.reason) for failed in answer.failures]

    run(test)


def test_a_problem_never_shows_a_secret() -> None:
    async def test(engine: Engine) -> None:
        answer = await engine.check(
            Bag({"soil": "loam", "hunter2hunter2": "hunter2hunter2"}, frozenset({("hunter2hunter2",)}))
        )
        assert ["***: unknown key"] == [failed.reason for failed in answer.failures]

    run(test)


def test_an_input_that_is_no_plain_data_is_a_problem() -> None:
    async def test(engine: Engine) -> None:
        news = Struct()
        news.update({"soil": {wire.SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "text": "x"}})
        answer = await engine.stub.Check(provider_pb2.CheckRequest(**who(), news=news))
        assert ["soil: this is an asset, and only plain data is accepted"] == [it.reason for it in answer.failures]

    run(test)


def test_a_kind_that_does_not_exist_is_a_problem_that_names_those_that_do() -> None:
    async def test(engine: Engine) -> None:
        request = provider_pb2.CheckRequest(**who("bluegreen:garden:Tree"), news=struct(LOAM))
        answer = await engine.stub.Check(request)
        assert answer.failures[0].reason.startswith(f"bluegreen has no resource bluegreen:garden:Tree; it has {BED}.")

    run(test)


def test_a_kind_is_read_from_the_urn_when_the_request_does_not_name_it() -> None:
    async def test(engine: Engine) -> None:
        urn = f"urn:pulumi:test::velro::velro:Colour${BED}::bed"
        answer = await engine.stub.Check(provider_pb2.CheckRequest(urn=urn, news=struct(LOAM)))
        assert (LOAM, []) == (plain(answer.inputs), list(answer.failures))

    run(test)


def test_secrets_and_unknowns_come_back_from_check_as_such() -> None:
    async def test(engine: Engine) -> None:
        answer = await engine.check(Bag({**KEYED.values, "share": UNKNOWN}, KEYED.secrets))
        assert {**KEYED.values, "share": UNKNOWN} == plain(answer.inputs)
        assert {("apiKey",)} == secret(answer.inputs)

    run(test)


def test_diff_tells_every_path_its_top_level_keys_and_what_is_replaced() -> None:
    async def test(engine: Engine) -> None:
        old = {**LOAM, "lanes": {"a": {"live": "blue"}}, "paths": ["/a"]}
        new = {"soil": "clay", "lanes": {"a": {"live": "green"}}, "paths": ["/a", "/b"]}
        answer = await engine.diff(old, new)
        assert {"lanes.a.live": "UPDATE", "paths[1]": "ADD", "soil": "UPDATE_REPLACE"} == kinds(answer)
        assert (DIFFERENT, True, False) == (answer.changes, answer.hasDetailedDiff, answer.deleteBeforeReplace)
        assert ({"lanes", "paths", "soil"}, ["soil"]) == (set(answer.diffs), list(answer.replaces))

    run(test)


def test_no_difference_is_said_to_be_none() -> None:
    async def test(engine: Engine) -> None:
        for answer in (await engine.diff(KEYED, KEYED), await engine.diff(LOAM, {**LOAM, "role": "live"})):
            assert (SAME, [], {}) == (answer.changes, list(answer.diffs), dict(answer.detailedDiff))

    run(test)


# Create, Update, Read, Delete


def test_create_answers_with_id_outputs_and_whether_to_read_before_updating() -> None:
    async def test(engine: Engine) -> None:
        answer = await engine.create({**LOAM, "lanes": {"a": {"live": "blue", "weights": {"blue": 100}}}})
        assert ("bed-1", True) == (answer.id, answer.refresh_before_update)
        expected = {"soil": "loam", "weights": {"a": {"blue": 100}}, "watered": 1, "variables": {}}
        assert expected == plain(answer.properties)

    run(test)


def test_outputs_that_the_program_leaves_open_are_not_inputs() -> None:
    async def test(engine: Engine) -> None:
        properties = struct(LOAM)
        properties.update({"note": None, "weights": None})
        await engine.stub.Create(provider_pb2.CreateRequest(**who(), properties=properties))
        assert {"bed-1": BedSpec(soil="loam")} == engine.garden.beds

    run(test)


def test_secrets_of_the_state_are_wrapped_by_type_and_by_the_input_of_the_same_path() -> None:
    async def test(engine: Engine) -> None:
        news = Bag({**KEYED.values, "variables": {"A": "x", "B": "y"}}, frozenset({("apiKey",), ("variables", "B")}))
        answer = await engine.create(news)
        assert ("hunter2hunter2", {"A": "x", "B": "y"}) == tuple(
            plain(answer.properties)[key] for key in ("key", "variables")
        )
        assert {("key",), ("variables", "B")} == secret(answer.properties)

    run(test)


def test_an_output_that_was_secret_stays_secret_after_an_update() -> None:
    async def test(engine: Engine) -> None:
        news = {**LOAM, "variables": {"A": "x"}}
        state = Bag({"variables": {"A": "w"}}, frozenset({("variables",)}))
        answer = await engine.update(LOAM, state, news)
        assert {("variables",)} == secret(answer.properties)

    run(test)


def test_a_preview_answers_with_the_exact_outputs_and_does_nothing() -> None:
    async def test(engine: Engine) -> None:
        created = await engine.create(KEYED, preview=True)
        updated = await engine.update(LOAM, {"watered": 4}, LOAM, preview=True)
        assert ("", 1, 5) == (created.id, plain(created.properties)["watered"], plain(updated.properties)["watered"])
        assert {("key",)} == secret(created.properties)
        assert [] == engine.garden.done

    run(test)


def test_what_a_preview_cannot_know_yet_is_unknown_and_not_missing() -> None:
    async def test(engine: Engine) -> None:
        previewed = await engine.create(LOAM, preview=True)
        real = await engine.create(LOAM)
        assert [UNKNOWN, None] == [plain(answer.properties).get("note") for answer in (previewed, real)]

    run(test)


def test_a_preview_with_unknown_inputs_knows_no_output() -> None:
    async def test(engine: Engine) -> None:
        expected = dict.fromkeys(("soil", "weights", "watered", "key", "variables", "note"), UNKNOWN)
        created = await engine.create({"soil": UNKNOWN}, preview=True)
        updated = await engine.update(LOAM, {"watered": 1}, {"soil": UNKNOWN}, preview=True)
        assert [expected, expected] == [plain(created.properties), plain(updated.properties)]

    run(test)


def test_an_update_sees_what_is_held_however_old_it_is() -> None:
    async def test(engine: Engine) -> None:
        old = Bag({"soil": "old", "fieldOfOldTimes": [1], "apiKey": "hunter2hunter2"}, KEYED.secrets)
        answer = await engine.update(old, {"watered": 7, "weights": "bad", "more": 1}, LOAM)
        assert 8 == plain(answer.properties)["watered"]
        assert [Held("bed-1", old.values, BedState(watered=7))] == engine.garden.seen

    run(test)


@pytest.mark.parametrize("write", ["create", "update"])
def test_inputs_that_do_not_fit_are_refused_before_anything_is_changed(write: str) -> None:
    async def test(engine: Engine) -> None:
        news = {"soil": 7, "soyl": 1}
        call = engine.create(news) if write == "create" else engine.update(LOAM, {}, news)
        code, message, held = await failure(call)
        assert (REFUSED, None, []) == (code, held, engine.garden.done)
        assert message == (
            "The inputs of garden:Bed bed are not valid: soil: Input should be a valid string; soyl: unknown key. "
            "Nothing was changed. Correct them and run pulumi up again."
        )

    run(test)


def test_a_read_answers_with_inputs_and_outputs_as_they_are() -> None:
    async def test(engine: Engine) -> None:
        engine.garden.beds["bed-1"] = BedSpec.model_validate({**KEYED.values, "soil": "peat"})
        answer = await engine.read("bed-1", inputs={**LOAM, "role": "live"}, properties={"watered": 3})
        assert ("bed-1", True) == (answer.id, answer.refresh_before_update)
        assert {"soil": "peat", "role": "live", "apiKey": "hunter2hunter2"} == plain(answer.inputs)
        assert ("peat", 3) == tuple(plain(answer.properties)[key] for key in ("soil", "watered"))
        assert ({("apiKey",)}, {("key",)}) == (secret(answer.inputs), secret(answer.properties))

    run(test)


def test_a_read_of_what_is_gone_answers_with_no_id() -> None:
    async def test(engine: Engine) -> None:
        answer = await engine.read("bed-1", inputs=LOAM, properties={"watered": 3})
        assert ("", {}) == (answer.id, plain(answer.properties))

    run(test)


def test_an_import_reads_without_anything_held() -> None:
    async def test(engine: Engine) -> None:
        engine.garden.beds["bed-1"] = BedSpec(soil="peat")
        bare = await engine.read("bed-1")
        looked_up = await engine.read("bed-1", inputs={}, properties={})
        assert [{"soil": "peat"}, {"soil": "peat"}] == [plain(bare.inputs), plain(looked_up.inputs)]
        assert [None, None] == engine.garden.seen

    run(test)


def test_a_delete_sees_what_is_held() -> None:
    async def test(engine: Engine) -> None:
        await engine.delete(LOAM, {"watered": 2})
        assert ([Held("bed-1", LOAM, BedState(watered=2))], ["cleared"]) == (engine.garden.seen, engine.garden.done)

    run(test)


# How it ends


def test_a_refusal_is_one_clean_message_without_its_secrets() -> None:
    async def test(engine: Engine) -> None:
        end = await failure(engine.create(Bag({**KEYED.values, "ends": "refused"}, KEYED.secrets)))
        assert (REFUSED, "The soil refuses ***. Nothing was planted. Add compost.", None) == end

    run(test)


@pytest.mark.parametrize("write", ["create", "update"])
def test_a_partial_keeps_what_is_held_with_exactly_one_reason(write: str) -> None:
    async def test(engine: Engine) -> None:
        news = Bag({**KEYED.values, "ends": "partly"}, KEYED.secrets)
        call = engine.create(news) if write == "create" else engine.update(KEYED, {"watered": 4}, news)
        code, message, held = await failure(call)
        assert (REFUSED, "Half of it withered. The other half blooms. Water it.") == (code, message)
        assert ("bed-1", [message], True) == (held.id, list(held.reasons), held.refresh_before_update)
        assert (1 if write == "create" else 5) == plain(held.properties)["watered"]
        assert KEYED.values == plain(held.inputs)
        assert ({("key",)}, {("apiKey",)}) == (secret(held.properties), secret(held.inputs))

    run(test)


def test_a_partial_may_hold_more_than_fits_into_ordinary_metadata() -> None:
    async def test(engine: Engine) -> None:
        variables = {f"KEY_{number}": "x" * 100 for number in range(500)}
        _, _, held = await failure(engine.create({**LOAM, "variables": variables, "ends": "partly"}))
        assert variables == plain(held.properties)["variables"]

    run(test)


def test_a_bug_is_one_line_that_names_where_the_traceback_lies() -> None:
    async def test(engine: Engine) -> None:
        code, message, held = await failure(engine.create(Bag({**KEYED.values, "ends": "badly"}, KEYED.secrets)))
        assert (BUG, None) == (code, held)
        found = re.fullmatch(
            r"A bug in bluegreen ended creating garden:Bed bed: KeyError: 'spade for \*\*\*'\. "
            r"Whether anything was changed before that is unknown; state keeps what was known\. "
            r"Run pulumi refresh to see how it really is, then report this with (\S+)\.",
            message,
        )
        assert found is not None
        trace = Path(found[1])
        text = trace.read_text(encoding="utf-8")
        trace.unlink()
        assert text.endswith("KeyError: 'spade for ***'\n")
        assert text.startswith("Traceback (most recent call last):")

    run(test)


# Talking and stopping


def test_what_a_handler_says_is_in_the_engines_log_before_its_call_returns() -> None:
    async def test(engine: Engine) -> None:
        await engine.create(Bag({**KEYED.values, "ends": "talking"}, KEYED.secrets))
        said = [(log.message, log.ephemeral, log.urn) for log in engine.logs]
        urn = who()["urn"]
        assert [("digging", True, urn), ("planted with the key ***", False, urn)] == said

    run(test)


def test_of_statuses_that_pile_up_only_the_last_is_sent() -> None:
    async def test(engine: Engine) -> None:
        for text in ("one", "two", "three"):
            engine.servicer.journal.say(text, urn="urn:a", ephemeral=True)
        engine.servicer.journal.say("kept", urn="urn:a")
        await engine.servicer.journal.drain()
        assert ["three", "kept"] == [log.message for log in engine.logs]

    run(test)


def test_an_engine_that_is_gone_disturbs_nobody() -> None:
    async def test(engine: Engine) -> None:
        await engine.stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1"))
        answer = await engine.create({**LOAM, "ends": "talking"})
        assert ("bed-1", []) == (answer.id, engine.logs)

    run(test)


def test_the_timeout_is_the_handlers_deadline() -> None:
    async def test(engine: Engine) -> None:
        await engine.create(LOAM)
        await engine.create(LOAM, timeout=60.0)
        without, within = engine.garden.done
        assert "worked, by no deadline" == without
        assert re.fullmatch(r"worked, by \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", within)

    run(test)


def test_cancel_returns_at_once_and_again_and_a_sleeping_handler_hears_it() -> None:
    async def test(engine: Engine) -> None:
        creating = asyncio.ensure_future(engine.create({**LOAM, "ends": "sleeping"}))
        await engine.garden.begun.wait()
        assert [Empty(), Empty()] == [await engine.stub.Cancel(Empty()), await engine.stub.Cancel(Empty())]
        code, message, held = await failure(creating)
        assert (REFUSED, "Somebody asked to stop. It is as it was. Go on.") == (code, message)
        assert ("bed-1", [message]) == (held.id, list(held.reasons))

    run(test)


def test_after_a_cancel_nothing_new_begins() -> None:
    async def test(engine: Engine) -> None:
        await engine.stub.Cancel(Empty())
        ends = [
            await failure(engine.create(LOAM)),
            await failure(engine.update(LOAM, {}, LOAM)),
            await failure(engine.delete(LOAM, {})),
        ]
        text = (
            "garden:Bed bed was cancelled before it began. Nothing was changed. Run pulumi up again when you want it."
        )
        assert [(REFUSED, text, None)] * 3 == ends
        assert ([], []) == (engine.garden.done, engine.garden.seen)
        assert SAME == (await engine.diff(LOAM, LOAM)).changes

    run(test)


def test_a_pause_that_begins_after_a_cancel_is_only_a_breath() -> None:
    async def test(engine: Engine) -> None:
        await engine.stub.Cancel(Empty())
        row = Row("urn:a", 0.0, engine.servicer.signals, engine.servicer.journal)
        await row.sleep(3600)
        assert row.cancelled

    run(test)


def test_an_engine_that_hangs_up_does_not_cut_a_handler_in_two() -> None:
    async def test(engine: Engine) -> None:
        call = engine.create({**LOAM, "ends": "waiting"})
        creating = asyncio.ensure_future(failure(call))
        await engine.garden.begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating
        assert SAME == (await engine.diff(LOAM, LOAM)).changes  # the server has seen the end of the call by now
        assert [] == engine.garden.done
        engine.garden.gate.set()
        await engine.servicer.works.idle()
        assert ["worked, by no deadline"] == engine.garden.done

    run(test)


def test_a_slow_resource_holds_up_no_other() -> None:
    async def test(engine: Engine) -> None:
        waiting = asyncio.ensure_future(engine.create({**LOAM, "ends": "waiting"}))
        await engine.garden.begun.wait()
        assert "bed-1" == (await engine.create(LOAM)).id
        engine.garden.gate.set()
        assert "bed-1" == (await waiting).id

    run(test)


# The provider itself


def test_the_configuration_reaches_what_handlers_are_made_from() -> None:
    async def test(engine: Engine) -> None:
        arguments = Bag({"url": "http://a", "nodes": 2, "key": "hunter2hunter2"}, frozenset({("key",)}))
        answer = await engine.stub.Configure(provider_pb2.ConfigureRequest(args=struct(arguments)))
        assert (True, True) == (answer.acceptSecrets, answer.supportsPreview)
        assert {"url": "http://a", "nodes": "2", "key": "hunter2hunter2"} == engine.garden.values
        assert "the key is ***" == engine.servicer.redactor("the key is hunter2hunter2")

    run(test)


def test_what_handlers_are_made_from_is_closed_in_the_end() -> None:
    gardens = []

    async def test(engine: Engine) -> None:
        gardens.append(engine.garden)
        await engine.check(LOAM)

    run(test)
    assert [True] == [garden.closed for garden in gardens]


def test_a_changed_configuration_is_a_difference_and_the_engines_own_keys_are_not() -> None:
    async def test(engine: Engine) -> None:
        def request(olds: dict[str, Any], news: dict[str, Any]) -> provider_pb2.DiffRequest:
            return provider_pb2.DiffRequest(old_inputs=struct(olds), news=struct(news))

        rotated = await engine.stub.DiffConfig(request({"railwayToken": "a"}, {"railwayToken": "b", "kongNodes": "2"}))
        assert (DIFFERENT, {"railwayToken": "UPDATE", "kongNodes": "ADD"}) == (rotated.changes, kinds(rotated))
        assert [] == list(rotated.replaces)
        own = {"version": "1", "pluginDownloadURL": "x"}
        assert (
            SAME == (await engine.stub.DiffConfig(request({"railwayToken": "a"}, {"railwayToken": "a", **own}))).changes
        )

    run(test)


def test_the_configuration_is_taken_as_it_is() -> None:
    async def test(engine: Engine) -> None:
        answer = await engine.stub.CheckConfig(provider_pb2.CheckRequest(news=struct(KEYED)))
        assert (KEYED.values, {("apiKey",)}) == (plain(answer.inputs), secret(answer.inputs))

    run(test)


def test_the_handshake_asks_for_secrets_and_nothing_else() -> None:
    async def test(engine: Engine) -> None:
        answer = await engine.stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))
        assert provider_pb2.ProviderHandshakeResponse(accept_secrets=True) == answer

    run(test)


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))

    async def test(engine: Engine) -> None:
        assert project["project"]["version"] == (await engine.stub.GetPluginInfo(Empty())).version

    run(test)


def test_the_schema_describes_every_kind_from_its_own_models() -> None:
    async def test(engine: Engine) -> None:
        answer = await engine.stub.GetSchema(provider_pb2.GetSchemaRequest())
        schema = json.loads(answer.schema)
        bed = schema["resources"][BED]
        assert ("bluegreen", [BED], "A bed of flowers.") == (schema["name"], [*schema["resources"]], bed["description"])
        assert (["soil"], {"type": "string", "secret": True}) == (
            bed["requiredInputs"],
            bed["inputProperties"]["apiKey"],
        )
        lanes = {"type": "object", "additionalProperties": {"$ref": "#/types/bluegreen:index:Lane"}}
        assert lanes == bed["inputProperties"]["lanes"]
        assert ["live"] == schema["types"]["bluegreen:index:Lane"]["required"]
        assert {"type": "array", "items": {"type": "string"}} == bed["inputProperties"]["paths"]
        assert {"type": "string"} == bed["properties"]["note"]

    run(test)


def test_there_are_no_mappings() -> None:
    async def test(engine: Engine) -> None:
        assert b"" == (await engine.stub.GetMapping(provider_pb2.GetMappingRequest(key="terraform"))).data
        assert [] == list((await engine.stub.GetMappings(provider_pb2.GetMappingsRequest(key="terraform"))).providers)

    run(test)


def test_what_there_is_not_is_said_clearly() -> None:
    async def test(engine: Engine) -> None:
        ends = [
            await failure(engine.stub.Invoke(provider_pb2.InvokeRequest(tok="bluegreen:garden:getBed"))),
            await failure(engine.stub.Call(provider_pb2.CallRequest(tok=f"{BED}/water"))),
            await failure(engine.stub.Construct(provider_pb2.ConstructRequest(type="bluegreen:garden:Park"))),
            await failure(engine.stub.Parameterize(provider_pb2.ParameterizeRequest())),
        ]
        assert [grpc.StatusCode.UNIMPLEMENTED] * 4 == [code for code, _, _ in ends]
        assert [
            "bluegreen does not have the function bluegreen:garden:getBed: it has resources only.",
            f"bluegreen does not have the method {BED}/water: its resources have none.",
            "bluegreen does not have the component bluegreen:garden:Park: components are part of the program.",
            "bluegreen does not have parameters.",
        ] == [message for _, message, _ in ends]

    run(test)
