"""Both colours as the config has them: apart from each other, and deployed so that nobody's request is cut off.

Read from the config and from Kong's targets; what Railway made of it is in `railway.py`. It deliberately repeats
nothing that the config is refused for: that never comes so far.
"""

from collections.abc import Iterator, Sequence

from bluegreen.railway.spec import Release
from bluegreen.spec import COLOURS, Colour
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.looking import listed, split

GROUP = "colours"
PRODUCTION = "production"
DRAINING = ("overlapSeconds", "drainingSeconds", "startCommand")


@check(
    "colours-apart",
    group=GROUP,
    expected="each colour's target in Kong is that colour's own address",
    hint="Run pulumi refresh, then pulumi up; an idle colour's address is written by the finding's own request.",
)
async def apart(room: Room) -> Sequence[Seen]:
    found = []
    for app in room.wanted():
        wanted = room.settings.lanes()[app].addresses
        seen = await split(room, app)
        slots = seen.slots
        if not slots:
            found.append(Seen(True, "Kong has no targets of it", about=app, app=app, status="skipped"))
            continue
        wrong = [
            f"{colour} leads to {slot.address} instead of {wanted[colour]}"
            for colour, slot in slots.items()
            if colour in wanted and slot.address != wanted[colour]
        ]
        said = listed(wrong) or ", ".join(slots[colour].address for colour in COLOURS if colour in slots)
        path = f"/upstreams/{room.settings.lanes()[app].upstream}/targets"
        again = [
            f'PATCH {path}/{slot.row} in Kong\'s Admin API, "target": "{wanted[colour]}".'
            for colour, slot in slots.items()
            if colour in wanted and slot.address != wanted[colour]
        ]
        if seen.live is not None and slots[seen.live].address != wanted.get(seen.live):
            hint = "Run pulumi refresh, then pulumi up: users are led back at once."
        else:
            hint = f"{' '.join(again)} No update does: where nobody is led it looks at weight and release alone."
        found.append(Seen(not wrong, said, about=app, app=app, n=len(slots), hint=hint))
    return found


@check(
    "colours-drain",
    group=GROUP,
    severity="warn",
    expected="a deployment that ends answers what it has begun: overlap, draining, and a command that hears SIGTERM",
    hint="Write overlapSeconds: 20 and drainingSeconds: 30.",
)
async def drain(room: Room) -> Sequence[Seen]:
    return _told([each for each in room.settings.warnings() if _drains(each)], "both colours drain")


@check(
    "colours-configured",
    group=GROUP,
    severity="warn",
    expected="the config means everything that it says",
    hint="Correct the key that it names.",
)
async def configured(room: Room) -> Sequence[Seen]:
    return _told([each for each in room.settings.warnings() if not _drains(each)], "it does")


def _drains(warning: str) -> bool:
    return warning.partition(" ")[0].rpartition(".")[2] in DRAINING


def _told(warnings: Sequence[str], well: str) -> Sequence[Seen]:
    """A warning is led by its key, and ends with what to write."""
    found = []
    for warning in warnings:
        key, what, remedy = warning.partition(" ")[0], *_parted(warning)
        found.append(Seen(False, what, about=key.rstrip(":"), hint=remedy))
    return found or [Seen(True, well)]


def _parted(warning: str) -> tuple[str, str]:
    what, _, remedy = warning.rstrip(".").rpartition(". ")
    return (what, f"{remedy}.") if what else (remedy, "")


@check(
    "colours-replicas",
    group=GROUP,
    severity="warn",
    expected="in production two replicas of a colour or more: one that restarts is not everybody's",
    hint="Raise replicas; that is a new release.",
)
async def replicas(room: Room) -> Sequence[Seen]:
    stack = room.settings.owner.rpartition(".")[2]
    if stack != PRODUCTION:
        raise Skip(f"The stack is called {stack}, not {PRODUCTION}.")
    found = []
    for app, colour, release in _releases(room):
        count = sum(release.replicas.values())
        name, key = room.settings.service_name(app, colour), f"apps.{app}.{colour}.replicas"
        hint = f"Write {key}: {{{next(iter(release.replicas))}: 2}} or more; that is a new release."
        found.append(Seen(count > 1, f"{count} in {', '.join(release.replicas)}", about=name, app=app, hint=hint))
    return found


@check(
    "colours-variables",
    group=GROUP,
    severity="warn",
    expected="both colours have variables of the same names",
    hint="Add what is missing to the colour that does not have it, unless its release does not know it.",
)
async def variables(room: Room) -> Sequence[Seen]:
    found = []
    for app in room.wanted():
        names = {}
        for each, colour, release in _releases(room):
            if each == app:
                names[colour] = {*release.variables, *room.settings.secrets.apps.get(app, {}).get(colour, {})}
        if len(names) < len(COLOURS):
            found.append(Seen(True, "one colour alone is ours to deploy", about=app, app=app, status="skipped"))
            continue
        lacks = [
            f"{colour} lacks {listed(sorted(missing))}"
            for colour, other in zip(COLOURS, reversed(COLOURS), strict=True)
            if (missing := names[other] - names[colour])
        ]
        hint = (
            f"Add it under apps.{app}.<colour>.variables or secrets.{app}.<colour>, unless it is of one release alone."
        )
        said = "; ".join(lacks) or f"{len(names['blue'])} each"
        found.append(Seen(not lacks, said, about=app, app=app, hint=hint, n=len(names["blue"] | names["green"])))
    return found


def _releases(room: Room) -> Iterator[tuple[str, Colour, Release]]:
    for app, colour in room.settings.existing():
        release = room.settings.release(app, colour)
        if app in room.wanted() and isinstance(release, Release):
            yield app, colour, release
