"""`bluegreen verify`: is this colour fit to be live? What an update waits for before it moves traffic.

First the database must have the schema that the release needs, and no contract applied that it cannot live with; then
the colour must answer through its probe route as the release that the config names, from every worker that the
gateway has (their routers are not rebuilt at the same moment); then each of the app's
own `verify` commands must end with 0. They find STACK, APP, COLOUR, RELEASE, PROXY_URL and PREVIEW_KEY in their
environment; the key goes into the header `apikey`.
"""

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from typing import Annotated, Literal

import typer

from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.cli.written import within
from bluegreen.evidence.identity import difference, identify
from bluegreen.evidence.who import who
from bluegreen.handler import Halt
from bluegreen.http import ApiError
from bluegreen.postgres import ledger

PATIENCE = 60.0  # seconds for the preview route: Kong's router lags up to 5 s, private DNS a little more
AGAIN = 0.5
RECORDING = 2.0  # seconds for what the record says of the release: nothing waits for a disk that hangs
LACKING = "The record may not say what this release is"
ENOUGH = 12  # good answers in a row, each over a new connection: with two workers, one was missed in 1 of 2,000 cases

App = Annotated[str, typer.Option(help="The app.")]
Slot = Annotated[Literal["blue", "green"], typer.Option(help="Which colour of it.")]


async def verify(desk: Desk, *, app: App, colour: Slot) -> Outcome:
    """Check one colour of one app through its preview route, then run the app's own verify commands."""
    name = desk.settings.service_name(app, colour) if app in desk.settings.apps else app
    if app not in desk.settings.apps or desk.settings.apps[app].release(colour) is None:
        return Outcome(exit=Exit.REFUSED, what=f"There is no {name} in the config.", next="Name an app and a colour.")
    if unfit := await _schema(desk, app, colour):
        return Outcome(
            exit=Exit.FAILED_BEFORE_SWITCH,
            what=f"{name} does not fit the database: {unfit}.",
            world="No traffic was moved.",
            next="Ship a release that fits; what a contract took away comes back by a new migration alone.",
        )
    seen = await _answers(desk, app, colour)
    if seen:
        return Outcome(
            exit=Exit.FAILED_BEFORE_SWITCH,
            what=f"{name} does not answer as release {desk.settings.release_id(app, colour)}: {seen}.",
            world="No traffic was moved.",
            next=f"Look at {name}'s logs, then run pulumi up again.",
        )
    for command in desk.settings.apps[app].verify:
        # What it prints goes where progress goes: the outcome alone is on standard output.
        shell, env = ["/bin/sh", "-c", command], _environment(desk, app, colour)
        code = subprocess.run(shell, env=env, stdout=sys.stderr, check=False).returncode
        if code:
            return Outcome(
                exit=Exit.FAILED_BEFORE_SWITCH,
                what=f"{name} is not fit to be live: {command!r} ended with {code}.",
                world="No traffic was moved.",
                next="Fix the release (or the check), then run pulumi up again.",
            )
    if desk.settings.apps[app].live == colour:
        await _introduce(desk)
    return Outcome(exit=Exit.OK, what=f"{name} is verified.")


async def _introduce(desk: Desk) -> None:
    """Before traffic moves, the record says what the release is that it moves to; a release does not depend on it."""
    versions, now, wrong = await _versions(desk), desk.ctx.now(), list[str]()

    def introducing() -> bool:
        try:
            known = who(os.environ)
            identity = identify(desk.settings, now, by=known.by, commit=known.commit, versions=versions)
            bundles = desk.connections.bundles(desk.stack.name)
            bundle = bundles.bundle(identity.release)
            before = bundle.identity()
            if before is None or difference(before, identity):
                bundles.introduce(bundle, identity)
                bundle.seal()  # it may be sealed already, and no move may come that does it again
        except Halt as halt:
            wrong.append(f"{halt.what} {halt.world}")
        except Exception as fault:
            wrong.append(f"{LACKING}: a fault of bluegreen itself, {type(fault).__name__}.")
        return True

    if not within(introducing, RECORDING):
        wrong.append(f"{LACKING}: that took longer than {RECORDING:g} s.")
    if wrong:
        await desk.ctx.milestone(wrong[0])


async def _versions(desk: Desk) -> dict[str, str]:
    """Of what the release meets, as far as it says so."""
    try:
        async with asyncio.timeout(RECORDING):
            return {"kong": str((await desk.connections.kong().node())["version"])}
    except (Halt, KeyError, TimeoutError):
        return {}


async def _schema(desk: Desk, app: str, colour: Slot) -> str:
    """Why this release and this database do not fit, by the ledger: files may be reverted, the schema stays."""
    wanted = desk.settings.migrations
    if wanted is None:
        return ""
    entries = (await ledger.look(desk.connections.database())).entries.values()
    newest = max((entry.version for entry in entries), key=int, default=wanted.baseline)
    needed = desk.settings.release(app, colour).schema_min or newest
    if int(needed) > int(max(newest, wanted.baseline, key=int)):
        return f"it needs schema {needed}, and the ledger ends with {newest}"
    contracts = [(f"{entry.label}, applied already,", entry.requires_schema_min) for entry in entries]
    return "; ".join(desk.settings.lags(app, colour, contracts))


async def _answers(desk: Desk, app: str, colour: Slot) -> str:
    lane = desk.settings.lanes()[app]
    headers = {name: values[colour] for name, values in lane.probe.headers.items()}
    path = desk.settings.release(app, colour).healthcheck_path
    wanted, agreeing = desk.settings.release_id(app, colour), 0
    unmarked = desk.settings.observed(app, colour)
    end = desk.ctx.now() + timedelta(seconds=PATIENCE)
    while True:
        try:
            release, seen = await desk.connections.prober().release(path, headers, lane.probe.release_header)
        except ApiError as problem:
            release, seen = None, problem.what.rstrip(".")
        well = release is not None if unmarked else release == wanted
        agreeing = agreeing + 1 if well else 0
        if agreeing == ENOUGH:
            return ""
        if agreeing:
            continue
        if desk.ctx.now() >= end:
            return seen
        await desk.ctx.sleep(AGAIN)


def _environment(desk: Desk, app: str, colour: Slot) -> dict[str, str]:
    values = desk.connections.values
    return {
        **os.environ,
        "STACK": desk.stack.name,
        "APP": app,
        "COLOUR": colour,
        "RELEASE": desk.settings.release_id(app, colour),
        "PROXY_URL": values.get("kongProxyUrl", ""),
        "PREVIEW_KEY": values.get("previewKey", ""),
    }
