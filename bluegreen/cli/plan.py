"""`bluegreen plan STACK`: a change told before it is made, as a pull request's comment; and is it still that change?

It runs one preview and reads the stack beside it. `--save` keeps the plan with everything that decided it; `--check`
reads all of that again, without a preview, and ends with 15 and the names of what is not as it was. A plan whose update
would stop by itself ends with 15 as well, and is told all the same. It deliberately changes nothing.
"""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from bluegreen.cli.planning import Read, read, rehearsed
from bluegreen.cli.previewing import preview
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.evidence.folder import replaced
from bluegreen.evidence.hidden import Hide, hiding
from bluegreen.handler import Refused
from bluegreen.plain import LARGEST
from bluegreen.planning import schemas
from bluegreen.planning.colours import tags
from bluegreen.planning.deciding import fingerprint, since
from bluegreen.planning.document import SCHEMA, Planned, Unchecked
from bluegreen.planning.made import Material, planned
from bluegreen.planning.markdown import markdown
from bluegreen.planning.previewed import Previewed
from bluegreen.spec import State

WORLD = "Nothing was changed."
SHOWN = 10  # differences that a sentence names

Out = Annotated[Path | None, typer.Option(help="Write the comment to this file, as Markdown.")]
Save = Annotated[Path | None, typer.Option(help="Write the plan to this file, for --check.")]
Check = Annotated[Path | None, typer.Option(help="Only ask whether this plan still is what an update would do.")]
Pack = Annotated[list[Path] | None, typer.Option(help="Judge it by this policy pack; may be given again.")]
PackConfig = Annotated[
    list[Path] | None, typer.Option(help="The packs' configs; without, each pack's own policy-config.json.")
]


class Checked(State):
    """Whether a plan still holds: what is not as it was, a phrase each."""

    schema_version: int = SCHEMA
    fingerprint: str = ""
    now: str = ""
    since: tuple[str, ...] = ()


async def plan(
    desk: Desk,
    *,
    out: Out = None,
    save: Save = None,
    policy_pack: Pack = None,
    policy_pack_config: PackConfig = None,
    check: Check = None,
) -> Outcome:
    """Tell a change before it is made: what users meet, the way back, the risk; or check that a plan still holds."""
    if check is not None:
        if out or save or policy_pack or policy_pack_config:
            raise Refused("--check goes alone.", world=WORLD, next="Make a plan first, and check it in another run.")
        return await _check(desk, check)
    # What decides is read before the engine is asked: what changes meanwhile is found by the check, never missed.
    known = await read(desk)
    told = await preview(desk.stack, policy_pack or (), policy_pack_config or ())
    hide = hidden(desk)
    whole = _without(_planned(desk, known, told, judged=bool(policy_pack)), hide)
    comment = markdown(whole)
    if save is not None:
        _write(save, whole.model_dump_json(by_alias=True, indent=2) + "\n")
    if out is not None:
        _write(out, comment)
    return _outcome(whole, comment, out)


def _planned(desk: Desk, known: Read, told: Previewed, *, judged: bool) -> Planned:
    missing = list(known.unchecked)
    if not judged:
        missing.append(Unchecked(what="policies", why="no pack was named (--policy-pack policies)"))
    missing += [
        Unchecked(what=each.name or "the preview", why=each.text) for each in told.said if each.severity == "warning"
    ]
    material = Material(
        settings=desk.settings,
        preview=told,
        now=desk.ctx.now(),
        splits=known.splits,
        recorded=known.recorded,
        survey=known.survey,
        move=known.move,
        plans=rehearsed(schemas.wanted(told)),
        tags=_tags(desk),
        decides=known.decides,
        unchecked=missing,
    )
    return planned(material)


async def _check(desk: Desk, file: Path) -> Outcome:
    before = _kept(file)
    if before.owner != desk.settings.owner:
        what = f"{file} is a plan of {before.owner}, and this is {desk.settings.owner}."
        raise Refused(what, world=WORLD, next=f"Name stack {before.stack}, or make a plan of this one.")
    if before.refused:
        what = f"Plan {before.fingerprint} was of an update that would stop: {before.refused[0].rstrip('.')}."
        raise Refused(what, world=WORLD, next="Correct that, and make a plan anew.")
    known = await read(desk)
    now: Planned = _without(Planned(decides=known.decides), hidden(desk))
    found = since(before.decides, now.decides)
    facts = Checked(fingerprint=before.fingerprint, now=fingerprint(now.decides), since=found)
    if not found:
        what = f"Plan {before.fingerprint} of {before.owner} still is what an update would do."
        return Outcome(
            exit=Exit.OK, what=what, world=f"{len(now.decides)} things that decide are as they were.", facts=facts
        )
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    what = f"Since plan {before.fingerprint} was made, something else is so: {'; '.join(found[:SHOWN])}{more}."
    next_ = "Make a plan anew, and have that one reviewed."
    return Outcome(exit=Exit.REFUSED, what=what, world=WORLD, next=next_, facts=facts)


def _outcome(whole: Planned, comment: str, out: Path | None) -> Outcome:
    exit = Exit.REFUSED if whole.refused else Exit.OK
    if out is None:
        return Outcome(exit=exit, what=comment.rstrip("\n"), facts=whole)
    risk = f"{len(whole.risks)} risk{'s' * (len(whole.risks) != 1)}" if whole.risks else "no risk"
    what = f"{whole.stack}: {whole.title}. {whole.users}"
    world = f"{whole.back} {risk[0].upper()}{risk[1:]} to look at. {out} tells it all."
    if whole.refused:
        return Outcome(exit=exit, what=what, world=world, next=f"An update would stop: {whole.refused[0]}", facts=whole)
    return Outcome(exit=exit, what=what, world=world, facts=whole)


def _kept(file: Path) -> Planned:
    next_ = "Make one: bluegreen plan STACK --save FILE."
    try:
        if file.stat().st_size > 16 * LARGEST:
            raise Refused(f"{file} is too large for a plan.", world=WORLD, next=next_)
        found = Planned.model_validate_json(file.read_bytes())
    except OSError as problem:
        raise Refused(f"{file} cannot be read: {problem.strerror}.", world=WORLD, next=next_) from None
    except ValidationError:
        raise Refused(f"{file} is no plan.", world=WORLD, next=next_) from None
    if found.schema_version != SCHEMA or not found.decides:
        what = f"{file} is no plan that this version can check."
        raise Refused(what, world=WORLD, next=next_)
    if found.fingerprint != fingerprint(found.decides):
        raise Refused(f"{file} was changed since it was written.", world=WORLD, next=next_)
    return found


def _write(file: Path, text: str) -> None:
    try:
        replaced(file, text)
    except OSError as problem:
        what = f"{file} cannot be written: {problem.strerror}."
        raise Refused(what, world=WORLD, next="Name another file.") from None


def hidden(desk: Desk) -> Hide:
    """Whatever is secret, wherever somebody may have written it: a policy's sentence, an error of a provider."""
    secrets = desk.settings.secrets
    mine = [secrets.release_key, secrets.preview_key, *secrets.consumers.values(), *secrets.tokens.values()]
    mine += [secret for app in secrets.apps.values() for colour in app.values() for secret in colour.values()]
    mine += [secret for plugin in secrets.plugins.values() for secret in plugin.values()]
    mine += [*secrets.metrics.values(), *(each.password for each in secrets.registries.values())]
    return hiding((*desk.connections.secrets, *(each.get_secret_value() for each in mine if each is not None)))


def _without(whole: Planned, hide: Hide) -> Planned:
    shown = Planned.model_validate(hide(whole.model_dump(mode="json", by_alias=True)))
    return shown.model_copy(update={"fingerprint": fingerprint(shown.decides)})


def _tags(desk: Desk) -> dict[str, str]:
    try:
        return dict(tags(desk.stack.file.read_text(encoding="utf-8")))
    except (OSError, UnicodeError):
        return {}
