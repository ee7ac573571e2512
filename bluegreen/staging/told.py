"""What a verb that edits a stack's file says of it, for machines."""

from collections.abc import Sequence

from bluegreen.spec import Colour, State

SCHEMA = 1


class Handed(State):
    """One edit of a stack's file, and how far it went: written here, committed, pushed, asked for."""

    schema_version: int = SCHEMA
    stack: str = ""
    file: str = ""
    diff: str = ""
    hunks: int = 0
    written: bool = False  # into the file here; an edit that went to a branch of its own leaves it alone
    commit: str = ""
    branch: str = ""
    pull_request: str = ""


class StagedApp(State):
    """One app's next image, and the colour that it is to run in."""

    app: str = ""
    colour: Colour = "green"
    image: str = ""
    tag: str | None = None
    before: str | None = None  # what the colour ran, and a rollback would have gone to
    before_tag: str | None = None
    schema_min: str | None = None  # as the image is said to need; a copy says what the live one needs
    live: str | None = None  # what serves meanwhile
    platforms: bool | None = None  # whether the digest is an index for several; None where nobody was asked
    overwritten: Sequence[str] = ()  # keys of the colour's block that are as the live one has them now
    lacks: Sequence[str] = ()  # secret variables that the live colour has and this one has not
    passed: str = ""  # where it is known from that it passed elsewhere


class Staged(Handed):
    """What was staged."""

    apps: Sequence[StagedApp] = ()
    kong: str = ""  # why Kong could not be asked; empty where it was


class PromotedApp(State):
    """One app's line."""

    app: str = ""
    origin: Colour = "blue"
    colour: Colour = "green"
    image: str | None = None
    tag: str | None = None
    before_tag: str | None = None  # what serves until then
    differs: Sequence[str] = ()  # keys that are not alike in both colours
    back: bool | None = None  # whether a rollback will be possible afterwards; None where that cannot be told
    why: str = ""


class Promoted(Handed):
    """What is to be live."""

    apps: Sequence[PromotedApp] = ()
    left: Sequence[str] = ()  # apps that have nothing in their other colour
    preview: str = ""  # what `pulumi preview` will say of traffic
    kong: str = ""


class Reverted(Handed):
    """What was undone: a commit, or, without one, the last move that state tells of."""

    undone: str = ""
    subject: str = ""
    live: dict[str, Colour] = {}  # every app that is to serve from another colour again
    others: int = 0  # further files of that commit, which stay as they are
