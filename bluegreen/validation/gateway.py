"""The gateway, before anything is sent through it: there, of the right kind, and exactly what the config declares.

Where traffic goes is in `traffic.py`. Rows are compared with the last good gateway, which Kong itself keeps, so a
change by hand is found without Pulumi. It deliberately changes nothing, and leaves what belongs to others alone.
"""

from collections.abc import Sequence

from bluegreen.handler import Halt, Refused
from bluegreen.kong import dns
from bluegreen.kong.ownership import owner_of
from bluegreen.kong.workers import Met, met
from bluegreen.validation.astray import BACK, MISSING, OFF, departed, from_kept, kept_gateway, switches
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.declared import KEY_FIELDS, declared
from bluegreen.validation.looking import WITHIN, listed, node, rows, split, surveyed

GROUP = "gateway"
LOOKING = 4.0  # seconds to meet every worker in
SETTLING = 12.0  # seconds that a change may be under way to one of them, and be no fault
OLDEST = (3, 4)  # the oldest with long support whose Admin API is the same


@check(
    "gateway-reachable",
    group=GROUP,
    within=WITHIN,
    expected="Kong's Admin API answers",
    hint="Check bluegreen:kongAdminUrl and that Kong's Admin API is reachable from here.",
)
async def reachable(room: Room) -> Seen:
    try:
        await node(room)
    except Skip as skip:
        cause = skip.__cause__
        if isinstance(cause, Halt):
            return Seen(False, cause.what, hint=cause.next)
        raise
    return Seen(True, f"it answers at {room.connections.kong().where}")


@check(
    "gateway-version",
    group=GROUP,
    within=WITHIN,
    expected="Kong 3.4 or newer (3.9 is the one that was measured)",
    hint="Upgrade Kong to 3.9.",
)
async def version(room: Room) -> Seen:
    told = str((await node(room)).get("version") or "")
    parts = tuple(int(part) for part in told.split(".")[:2] if part.isdecimal())
    if len(parts) < 2:
        raise Skip("Kong does not tell its version.")
    return Seen(OLDEST <= parts < (4, 0), f"Kong {told}")


@check(
    "gateway-mode",
    group=GROUP,
    within=WITHIN,
    expected="a traditional cluster on a database",
    hint="Use a traditional, database-backed Kong: weights are written one by one and proved on each worker.",
)
async def mode(room: Room) -> Seen:
    told = (await node(room)).get("configuration") or {}
    database, role = str(told.get("database", "unknown")), str(told.get("role", "traditional"))
    return Seen(database != "off" and role == "traditional", f"{role}, database {database}")


@check(
    "gateway-nodes",
    group=GROUP,
    within=WITHIN,
    expected="as many nodes answer as gateway.nodes says",
    hint="Correct gateway.nodes in the stack config, or bring the missing node back.",
)
async def nodes(room: Room) -> Seen:
    app = room.settings.order()[0]
    found, wanted = await workers(room, app), room.settings.gateway.nodes
    if not found.workers:
        raise Skip(f"No worker said within {LOOKING:g} s what it holds.")
    hint = f"Set gateway.nodes to {found.nodes}, or bring the missing node back." if found.nodes < wanted else ""
    more = f"Set gateway.nodes to {found.nodes}: a node that nobody waits for may serve old weights."
    said = f"{found.nodes} of {wanted} answered {found.answers} times"
    return Seen(found.nodes == wanted, said, hint=hint or more, n=found.answers)


@check(
    "gateway-plugins",
    group=GROUP,
    within=WITHIN,
    expected="every plugin that the config wants is installed",
    hint="Add it to Kong's `plugins` setting.",
)
async def plugins(room: Room) -> Seen:
    wanted = declared(room.settings, room.sealed).plugin_types()
    installed = ((await node(room)).get("plugins") or {}).get("available_on_server")
    if not installed:
        raise Skip("Kong does not tell which plugins it has.")
    missing = sorted(wanted - set(installed))
    hint = (
        f"Add {', '.join(missing)} to Kong's `plugins` setting (KONG_PLUGINS=bundled,…), or take it out of the config."
    )
    return Seen(not missing, f"without {', '.join(missing)}" if missing else listed(sorted(wanted)), hint=hint)


@check(
    "gateway-entities",
    group=GROUP,
    within=WITHIN,
    expected="everything that the config declares is in Kong, ours, switched on, and leads where it should",
    hint="pulumi refresh, then pulumi up, makes it as the config says.",
)
async def entities(room: Room) -> Seen:
    wanted = declared(room.settings, room.sealed).entities
    count, apart = sum(len(each) for each in wanted.values()), await departed(room)
    wrong = [f"{called} {what}" for called, what in apart]
    missing = [what for _, what in apart if what == MISSING]
    if missing and len(missing) == count:
        return Seen(False, "nothing of this stack is there", hint="Bring it up: pulumi up.", n=count)
    off = [called for called, what in apart if what == OFF]
    # Nothing declares that a row is on, so no update looks at the switch.
    switch = f'{_places(off)} in Kong\'s Admin API, "enabled": true, switches it on again: no update does.'
    rest = "pulumi refresh, then pulumi up, makes the rest as the config says." if len(off) < len(apart) else ""
    hint = f"{switch} {rest}".strip() if off else ""
    return Seen(not wrong, listed(wrong) or f"{count} are there", n=count, hint=hint)


def _places(called: Sequence[str]) -> str:
    """Where each is written."""
    return listed([f"PATCH /{each.replace(' ', 's/', 1)}" for each in called])


@check(
    "gateway-orphans",
    group=GROUP,
    within=WITHIN,
    severity="warn",
    expected="nothing is marked as this stack's that the config does not declare",
    hint="pulumi up takes away what the config has no longer and Pulumi knows; bluegreen orphans shows what is in no "
    "state, and deletes it with --prune.",
)
async def left_over(room: Room) -> Seen:
    wanted, found = declared(room.settings, room.sealed).entities, list[str]()
    adopted = set(room.settings.adopt.values())
    for kind, key in KEY_FIELDS.items():
        for row in await rows(room, kind):
            name = str(row.get(key) or row["id"])
            ours = owner_of(row.get("tags")) == room.settings.owner
            if ours and name not in wanted[kind] and not adopted & {name, str(row["id"])}:
                found.append(f"{kind[:-1]} {name}")
    return Seen(not found, listed(sorted(found)) or "nothing", n=len(found) or 1)


@check(
    "gateway-kept",
    group=GROUP,
    within=WITHIN,
    expected="what users meet is, row by row, the last good gateway, and the config wants that one",
    hint="pulumi refresh, then pulumi up, makes it as the config says.",
)
async def kept(room: Room) -> Seen:
    await node(room)
    try:
        found = await kept_gateway(room)
    except Skip as skip:
        if isinstance(refused := skip.__cause__, Refused):  # then there is no way back for the gateway
            return Seen(False, refused.what, severity="warn", hint=refused.next)
        raise
    told = (await surveyed(room)).kept
    if found.hold is not None:
        raise Skip("Somebody has restored the gateway by hand, as gateway-hold tells.")
    if told.agrees is None:
        raise Skip("The config's plugins have secrets that were not opened, so its gateway's id is not known.")
    if not told.agrees:
        hint = "Run pulumi up (pulumi preview shows what it does): no update has run since the config changed."
        return Seen(False, f"the last good one is {found}, and the config wants another", severity="warn", hint=hint)
    steps = await from_kept(room)
    astray = [step.said for step in steps if step.write != "PUT"]  # what is missing is another check's
    count = sum(len(each) for each in found.rows.values())
    off = any(map(switches, steps))
    return Seen(not astray, f"otherwise: {listed(astray)}" if astray else str(found), n=count, hint=BACK if off else "")


@check(
    "gateway-hold",
    group=GROUP,
    within=WITHIN,
    severity="warn",  # somebody meant it
    expected="nobody holds what users meet",
    hint="Revert the gateway's change in the config, or go on with it: bluegreen hold release --reason …",
)
async def held(room: Room) -> Seen:
    found = await kept_gateway(room)
    if found.hold is None:
        return Seen(True, "nobody does")
    return Seen(False, f"the gateway is {found.hold}")


@check(
    "gateway-names",
    group=GROUP,
    within=WITHIN,
    severity="warn",
    expected="Kong finds every service, and finds it where it is now",
    hint="Start Kong with the settings that it names.",
)
async def names(room: Room) -> Seen:
    told = dns.names(await node(room))
    if told is None:
        raise Skip("Kong does not show how it looks names up.")
    found = (await surveyed(room)).names
    first, _, remedy = found[0].rpartition(". ") if found else ("", "", "")
    return Seen(not found, first or f"an expired address is used for {told.stale:g} s at most", hint=remedy)


async def workers(room: Room, app: str) -> Met:
    """What every worker holds of an app.

    Raises:
        Skip: there is nothing that one could hold.
    """
    stored = await split(room, app)
    if not stored.slots:
        raise Skip(f"Kong has no targets of {app}, as traffic-weights tells.")
    count, kong = room.settings.gateway.nodes, room.connections.kong()

    async def look() -> Met:
        try:
            patience = (await room.connections.gateway().budget()).total_seconds()
        except Refused:  # which gateway-mode tells
            patience = LOOKING
        return await met(kong, stored, within=LOOKING, patience=min(SETTLING, patience), nodes=count)

    return await room.once(f"kong/workers/{app}", look)
