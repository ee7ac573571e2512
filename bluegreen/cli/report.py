"""`bluegreen report STACK`: one page about a release, for everybody, out of what was written down while it happened.

It reads the release's folder and writes `report.html`, `report.md` and `report.json` into it; with `--out` one document
somewhere else instead. Nothing but files is needed: neither Kong nor Pulumi nor a network. `--rejudge` asks what other
bars would have said. It deliberately decides nothing: whatever it finds, it ends with 0.
"""

import asyncio
import os
import webbrowser
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.evidence.bundle import Bundle, stamp
from bluegreen.evidence.bundles import Bundles
from bluegreen.evidence.folder import replaced
from bluegreen.handler import Refused
from bluegreen.page.section import count
from bluegreen.report.chapter import NEVER
from bluegreen.report.listing import Listed, listed
from bluegreen.report.reading import OURS, material
from bluegreen.report.rejudge import Rejudged, judge_again, thresholds
from bluegreen.report.rendered import html, markdown
from bluegreen.report.story import Story
from bluegreen.report.telling import story
from bluegreen.spec import State

NAMES = {".html": "report.html", ".md": "report.md", ".json": "report.json"}
UNWRITTEN = "Nothing was written."

Release = Annotated[str | None, typer.Option(help="Of which release: its id, or how it begins. The newest otherwise.")]
List = Annotated[bool, typer.Option("--list", help="Name the releases that left a record, newest first.")]
Open = Annotated[bool, typer.Option("--open", help="Show the page in a browser.")]
Out = Annotated[Path | None, typer.Option(help="Write one document there instead: .html, .md or .json.")]
Again = Annotated[Path | None, typer.Option("--rejudge", help="A YAML file of bars: what would they have said?")]


class Made(State):
    """What was written, and how the release stands by it."""

    schema_version: int = 1
    release: str = ""
    standing: str = ""
    sentence: str = ""
    files: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


async def report(
    desk: Desk,
    *,
    release: Release = None,
    listing: List = False,
    show: Open = False,
    out: Out = None,
    rejudge: Again = None,
) -> Outcome:
    """Make the page of a release out of its record."""
    bundles = desk.connections.bundles(desk.stack.name)
    if listing:
        return _named(await asyncio.to_thread(listed, bundles), desk)
    bundle = await asyncio.to_thread(_chosen, bundles, desk, release)
    if rejudge is not None:
        return await _judged(bundle, rejudge, desk)
    return await asyncio.to_thread(_made, bundles, bundle, out, show, desk.ctx.now())


def _chosen(bundles: Bundles, desk: Desk, release: str | None) -> Bundle:
    there = bundles.all()
    found = [each for each in there if each.release.startswith(release or "")]
    if found and (release is None or len(found) == 1):
        return found[0]
    where = bundles.root / bundles.stack
    if not there:
        raise Refused(
            f"Stack {desk.stack.name} has left no record in {where}.",
            world=UNWRITTEN,
            next="Every pulumi up that moves traffic writes one; bluegreen:reports names the folder.",
        )
    many = f"begins {len(found)} ids of releases" if found else "is no release that left a record"
    raise Refused(f"{release} {many} in {where}.", world=UNWRITTEN, next="bluegreen report --list names them.")


def _made(bundles: Bundles, bundle: Bundle, out: Path | None, show: bool, now: datetime) -> Outcome:
    told = _hidden(story(material(bundles, bundle), now), bundles)
    written = _elsewhere(told, bundles, out) if out is not None else _beside(told, bundle)
    page = next((each for each in written if each.suffix == ".html"), None)
    shown = _shown(page) if show and page is not None else ""
    facts = Made(
        release=told.release,
        standing=told.standing,
        sentence=told.sentence,
        files=tuple(str(each) for each in written),
        missing=told.missing,
    )
    broken = f" {count(len(told.broken), 'file is', 'files are')} otherwise than sealed." if told.broken else ""
    return Outcome(
        exit=Exit.OK,
        what=f"{bundle.release}: {told.sentence}",
        world=f"The report is in {page or written[0]}.{broken}",
        next=shown,
        facts=facts,
    )


def _hidden(told: Story, bundles: Bundles) -> Story:
    """Before it is drawn: in a page a secret would be spelled as HTML spells it."""
    return Story.model_validate(bundles.hide(told.model_dump(mode="json", by_alias=True)))


def _texts(told: Story) -> dict[str, str]:
    return {
        ".json": told.model_dump_json(by_alias=True, indent=1) + "\n",
        ".md": markdown(told),
        ".html": html(told),
    }


def _beside(told: Story, bundle: Bundle) -> Sequence[Path]:
    return [bundle.write_text(NAMES[suffix], text) for suffix, text in _texts(told).items()]


def _elsewhere(told: Story, bundles: Bundles, out: Path) -> Sequence[Path]:
    if out.suffix not in NAMES:
        raise Refused(
            f"{out} ends with {out.suffix or 'nothing'!r}, and a report is .html, .md or .json.",
            world=UNWRITTEN,
            next="Name a file with one of these endings.",
        )
    try:
        return [replaced(out, _texts(told)[out.suffix])]
    except OSError as problem:
        raise Refused(
            f"{out} cannot be written: {problem.strerror}.", world=UNWRITTEN, next="Name a folder that is there."
        ) from problem


def _shown(page: Path) -> str:
    """What to say about the browser; nothing where the page is in it."""
    address = page.resolve().as_uri()
    if not os.environ.get("CI"):
        try:
            if webbrowser.open(address):
                return ""
        except (webbrowser.Error, OSError):
            pass
    return f"There is no browser here: open {address}"


async def _judged(bundle: Bundle, file: Path, desk: Desk) -> Outcome:
    bars = thresholds(file)
    entries = await asyncio.to_thread(bundle.entries)
    now = desk.ctx.now()
    found = Rejudged(
        stack=bundle.stack,
        release=bundle.release,
        made=now,
        thresholds=bars.model_dump(mode="json", by_alias=True, exclude_none=True),
        analyses=await asyncio.to_thread(judge_again, entries, bars),
    )
    for each in found.analyses:
        await desk.ctx.milestone(f"{each.at:%H:%M:%S} {each.share}: {each.told}")
        if not each.unjudged:
            await desk.ctx.milestone(f"  then: {each.then.sentence}")
            await desk.ctx.milestone(f"  now:  {each.now.sentence or 'nothing'}")
    path = bundle.write_json(f"{OURS}{stamp(now)}.json", found)
    judged = [each for each in found.analyses if not each.unjudged]
    other = sum(each.then.verdict != each.now.verdict for each in judged)
    left = len(found.analyses) - len(judged)
    return Outcome(
        exit=Exit.OK,
        what=f"{count(len(judged), 'analysis', 'analyses')} of {bundle.release} judged again: {other} "
        f"{'ends' if other == 1 else 'end'} otherwise." + (f" {left} cannot be judged so." if left else ""),
        world=f"It is in {path}. What was decided stays decided.",
        facts=found,
    )


def _named(found: Listed, desk: Desk) -> Outcome:
    if not found.releases:
        return Outcome(exit=Exit.OK, what=f"Stack {desk.stack.name} has left no record in {found.folder}.", facts=found)
    lines = [f"{each.release}  {_when(each.at)}  {each.sentence}" for each in found.releases]
    if found.more:
        older = count(found.more, "older release has a record", "older releases have records")
        lines.append(f"… {older} too; --release names each of them.")
    return Outcome(exit=Exit.OK, what="\n".join(lines), facts=found)


def _when(at: datetime) -> str:
    """As wide for a bundle in which nothing has a time."""
    return f"{at:%Y-%m-%d %H:%M} UTC" if at > NEVER else f"{'–':20}"
