"""What somebody who acts by hand leaves in writing: the release's record, the config's line to revert, a report.

A way back is part of the life of the release that it leaves, so its record goes there. Nothing here may hold up or
stop a way back: what cannot be written is said, and users are served first.
"""

import asyncio
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import TypeVar

from bluegreen.cli.verb import Desk
from bluegreen.evidence.folder import private, replaced
from bluegreen.gateway import Hold, Split
from bluegreen.handler import Halt, Refused
from bluegreen.journal import AnyEntry, Began, Journal, LegTold
from bluegreen.rollout.breakglass import Way
from bluegreen.rollout.step import Tools
from bluegreen.spec import Spec

PATIENCE = 0.5  # seconds for what lies on disk, while users wait
AFTERWARDS = 2.0  # seconds for what is written when they are served

T = TypeVar("T")


def on_record(desk: Desk, tools: Tools, ways: Mapping[str, Way], splits: Mapping[str, Split], *, midway: bool) -> Tools:
    """The same tools, which write down where these ways lead, in the record of what they leave.

    Args:
        midway: a rollout under way has not come to every app, so the gateway does not know all of what it brings.
    """
    live = serving(desk, splits)
    leaving = {way.app: way.left[-1] for way in ways.values() if way.left}
    brought = _brought(desk, leaving) if midway and leaving else None
    releases = {**live, **{way.app: way.release or "" for way in ways.values()}}
    journal = desk.connections.journal(desk.stack.name)
    return replace(tools, journal=journal, releases=releases, record=brought or {**live, **leaving})


def began(at: datetime, ways: Mapping[str, Way], tools: Tools, hold: Hold) -> Began:
    """A way back by hand, in the words of a record."""
    legs = tuple(_leg(way) for way in ways.values())
    before = tools.releases if tools.record is None else tools.record
    move = "; ".join(f"by hand: {leg.app} {leg.origin or 'nothing'} → {leg.goal} 100 %" for leg in legs)
    return Began(at=at, move=move, legs=legs, releases=tools.releases, before=before, by=hold.by, reason=hold.reason)


def serving(desk: Desk, splits: Mapping[str, Split]) -> Mapping[str, str]:
    """Every app's release that users get now, as its row in the gateway says; else as the config does."""
    lanes = desk.settings.lanes()
    live = {app: split.slots[split.live].release if split.live else None for app, split in splits.items()}
    return {app: live.get(app) or lane.release for app, lane in lanes.items()}


async def note(desk: Desk, *entries: AnyEntry) -> None:
    """Write this into the record of what users get now; where nobody can say what that is, nothing is written."""
    gateway, lanes = desk.connections.gateway(), desk.settings.lanes()
    try:
        async with asyncio.timeout(AFTERWARDS):
            releases = serving(desk, {app: await gateway.split(lane.upstream) for app, lane in lanes.items()})
    except (Halt, TimeoutError):
        return
    journal = desk.connections.journal(desk.stack.name)
    for entry in entries:
        journal.note(entry, releases)
    await settle(desk, journal)


async def settle(desk: Desk, journal: Journal) -> None:
    """The record is on disk, or it is said what of it is not."""
    if complaint := await journal.settle():
        await desk.ctx.milestone(complaint)


def config_lines(desk: Desk, ways: Mapping[str, Way]) -> dict[str, str]:
    """What the config says otherwise: key and value to write."""
    project, apps = desk.stack.project, desk.settings.apps
    return {f"{project}:apps.{app}.live": way.goal for app, way in ways.items() if apps[app].live != way.goal}


def write_config(desk: Desk, lines: Mapping[str, str]) -> str:
    """Write them, as `pulumi config set --path` does, which keeps the file's comments; what to say about it."""
    for key, value in lines.items():
        try:
            desk.stack.write(key, value)
        except (Refused, OSError, subprocess.SubprocessError) as problem:
            why = problem.what.rstrip(".") if isinstance(problem, Refused) else str(problem)
            return f"The config could not be written ({why}). Write into it: "
    return "Written into the config: "


def write_report(desk: Desk, facts: Spec) -> str:
    """Where the report lies; empty where none can be written."""
    folder = desk.connections.reports
    file = folder / f"rollback-{desk.stack.name}-{desk.ctx.now():%Y%m%dT%H%M%SZ}.json"
    text = facts.model_dump_json(indent=2, by_alias=True) + "\n"
    written = within(lambda: replaced(private(folder) / file.name, text), AFTERWARDS)
    if written is None:
        return ""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def within(do: Callable[[], T], seconds: float = PATIENCE) -> T | None:
    """What this comes to; None where it fails, or the disk hangs for so long: it is left behind then."""
    found: list[T] = []

    def doing() -> None:
        with suppress(Exception):  # none of it is worth a word to whoever brings users back
            found.append(do())

    # Neither asyncio's threads nor any that is no daemon: this process would wait for those at its end.
    thread = Thread(target=doing, daemon=True)
    with suppress(RuntimeError):  # none can be had
        thread.start()
        thread.join(seconds)
    return found[0] if found else None


def _leg(way: Way) -> LegTold:
    origins = [colour for colour in way.split.carrying if colour != way.goal]
    return LegTold(
        app=way.app,
        way="rollback",
        origin=origins[-1] if origins else None,
        goal=way.goal,
        origin_release=way.left[-1] if way.left else None,
        release=way.release or "",
        stages=("100 %",),
    )


def _brought(desk: Desk, leaving: Mapping[str, str]) -> Mapping[str, str] | None:
    """What the rollout under way brings to every app, by the release's own record."""
    bundles = desk.connections.bundles(desk.stack.name)
    return within(lambda: bundles.bringing(leaving))
