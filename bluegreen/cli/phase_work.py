"""What every phase has in common: a desk made anew after each edit, steps that are told, and a commit that lands.

An edit becomes a commit of this one file, and is pushed before anything is brought up, so that what runs is what the
branch says. A branch that has moved on meanwhile is answered once, by the same edit on what is there now, unless
somebody has changed the very same place. A branch that takes no pushes gets a pull request, and nothing is brought up:
that is a person's to decide. A commit whose words did not come to be is reverted, in the branch as well.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bluegreen.cli.phase_desks import Desks
from bluegreen.cli.plan import plan
from bluegreen.cli.revert import revert
from bluegreen.cli.screen import Screen
from bluegreen.cli.stack import Stack
from bluegreen.cli.up import Brought, up
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.evidence.folder import replaced
from bluegreen.handler import Halt, Refused
from bluegreen.phases.line import Line
from bluegreen.phases.told import Phase, Phased, Step
from bluegreen.staging.repository import Repository

PACK = Path("policies")
UNTOUCHED = (Exit.FAILED_BEFORE_SWITCH, Exit.REFUSED, Exit.LOCKED, Exit.INTERRUPTED, Exit.TERMINATED)
EARLY = (Exit.REFUSED, Exit.LOCKED)  # nothing was begun, so a newer commit may still bring up what this one says

Edit = Callable[[Desk], Awaitable[Outcome]]
Judge = Callable[[], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    images: Sequence[str] = ()
    apps: Sequence[str] = ()
    reason: str = ""
    target: str = ""
    push: bool = True
    branch: str = "main"
    remote: str = "origin"
    packs: Sequence[Path] | None = None
    report: Path | None = None
    keep: bool = False
    overwrite: bool = False
    unchecked: bool = False
    guard: float = 15.0


class Work:
    """One phase at work; whoever opens it closes it."""

    def __init__(self, phase: Phase, stack: str, wish: Wish, screen: Screen) -> None:
        self.phase, self.wish, self.screen = phase, wish, screen
        self.stack = Stack.named(stack, engine=False)
        self._desks = Desks(self.stack, screen)
        self.line: Line | None = None
        self.base = ""
        self.facts = Phased(phase=phase, stack=self.stack.name)
        self._planned = False
        self._own = Path(tempfile.mkdtemp(prefix="bluegreen-phase-"))

    async def close(self) -> None:
        await self.anew()
        await asyncio.to_thread(shutil.rmtree, self._own, ignore_errors=True)

    async def anew(self) -> None:
        """The file may be another by now: whoever asks for a desk gets a new one."""
        await self._desks.close()

    async def sealed(self) -> Desk:
        """A desk that needs no engine."""
        return await self._desks.sealed()

    async def opened(self) -> Desk:
        """A desk with every secret in clear."""
        return await self._desks.opened()

    @property
    def packs(self) -> list[Path]:
        """Which policies judge it: the project's own, unless others are named."""
        if self.wish.packs is not None:
            return list(self.wish.packs)
        return [PACK] if (PACK / "PulumiPolicy.yaml").is_file() else []

    @property
    def folder(self) -> Path:
        """Where plans and outcomes go: the report, or nowhere that stays."""
        return self.wish.report or self._own

    async def did(self, name: str, verb: Awaitable[Outcome]) -> Outcome:
        """One step, told and kept; what halts it is an outcome like any other."""
        try:
            outcome = await verb
        except Halt as halt:
            outcome = Outcome(exit=Exit.REFUSED, what=halt.what, world=halt.world, next=halt.next)
        self._step(name, outcome.exit, outcome.what)
        await self.screen.milestone(f"{self.phase}: {name}: {outcome.what}")
        if self.wish.report is not None:
            number = len(self.facts.steps)
            text = outcome.model_dump_json(by_alias=True, indent=2) + "\n"
            replaced(self.wish.report / f"{number:02}-{name.replace(' ', '-')}.json", text)
        return outcome

    def _step(self, name: str, code: int, what: str) -> None:
        self._told(steps=(*self.facts.steps, Step(name=name, exit=int(code), what=what)))

    def _told(self, **fields: Any) -> None:
        self.facts = self.facts.model_copy(update=fields)

    def about(self, *apps: str) -> None:
        """Which apps this phase is about."""
        self._told(apps=tuple(apps))

    async def begin(self) -> None:
        """Begin where the branch is.

        Raises:
            Refused: it is out of reach, or what is checked out is not part of it.
        """
        if self.wish.push:
            self.line = Line.of(self.stack.file, self.wish.branch, self.wish.remote)
            self.base = await asyncio.to_thread(self.line.begin)
            await self.anew()

    @property
    def commits(self) -> bool:
        """Whether there is a repository to commit to; without one the file alone is written."""
        return self.line is not None or Repository.of(self.stack.file) is not None

    async def land(self, name: str, edit: Edit, judge: Judge | None = None) -> Outcome | None:
        """Make the edit, have it judged, and get it into the branch; the end of the phase where it does not get there.

        An edit that changes nothing has landed already, and leaves no commit in the facts.
        """
        first, begun = "", self.base
        self._planned = False
        self._told(commit="", pushed=False, recomputed=False)
        for again in (False, True):
            made = await self.did(name, edit(await self.sealed()))
            await self.anew()
            commit = str(getattr(made.facts, "commit", ""))
            if made.exit or not (commit or getattr(made.facts, "written", False)):
                return self.end(made) if made.exit else None
            self._told(commit=commit, recomputed=again)
            if self._conflicts(first, begun, commit):
                return await self._withdrawn(self._conflict())
            if judge is not None and (said := await judge()).exit:
                return await self._withdrawn(said)
            if self.line is None:
                return None
            pushed = await asyncio.to_thread(self.line.push)
            self._step("push", 0 if pushed.answer == "landed" else Exit.REFUSED, pushed.why or f"{commit[:10]} is in")
            if pushed.answer == "landed":
                self._told(pushed=True)
                await self.screen.milestone(f"{self.phase}: pushed {commit[:10]} to {self._there}")
                return None
            if pushed.answer == "protected":
                return await self._proposed(made, commit, pushed.why)
            await self.screen.milestone(f"{self.phase}: {self._there} has moved on: {pushed.why}")
            await self._took_back()
            first = commit
            self.base = await asyncio.to_thread(self.line.begin)
        return self.ended(
            Exit.REFUSED,
            f"{self._there} moved on twice while this was working on it.",
            "Nothing was pushed, and nothing was brought up.",
            "Run it again when there is less going on.",
        )

    @property
    def _there(self) -> str:
        return f"{self.wish.remote}/{self.wish.branch}"

    def _conflicts(self, first: str, begun: str, now: str) -> bool:
        """Whether what the first attempt changed was changed by somebody else, too."""
        here = Repository.of(self.stack.file) if first else None
        if here is None or self.line is None:
            return False
        base, ours = self.line.changed(begun, first, here.path)
        theirs, _ = self.line.changed(self.base, now, here.path)
        return here.merged(theirs, base, ours) is None

    def _conflict(self) -> Outcome:
        file = self.stack.file.name
        return Outcome(
            exit=Exit.REFUSED,
            what=f"{self._there} moved on, and what this phase changes in {file} was changed there, too.",
            world="Nothing was pushed, and nothing was brought up.",
            next=f"git log -1 -p {self._there} -- {file} shows it; run this again if it is still meant.",
        )

    async def _took_back(self) -> None:
        if self.line is not None:
            await asyncio.to_thread(self.line.take_back, self.base)
            self._told(commit="", pushed=False)
        await self.anew()

    async def _withdrawn(self, why: Outcome) -> Outcome:
        """The end of a phase whose edit is not to be: where it was not pushed yet nobody will ever have seen it."""
        if self.line is not None:
            await self._took_back()
        elif self.facts.commit:
            await self._reverted()
        return self.end(why)

    async def _proposed(self, made: Outcome, commit: str, why: str) -> Outcome:
        """A pull request in place of a push; the file here is as it was."""
        here = Repository.clean(self.stack.file)
        name = f"{self.phase.replace('_', '-')}-{self.stack.name}-{commit[:10]}"
        assert self.line is not None
        await asyncio.to_thread(self.line.propose, name, commit)
        body = f"{made.what}\n\n{self.wish.reason}".strip()
        url, by_hand = await asyncio.to_thread(here.request, name, f"{self.phase}: {made.what.rstrip('.')}", body)
        await self._took_back()
        self._told(commit=commit, branch=name, pull_request=url)
        where = f"the pull request is {url}" if url else "no pull request is open yet"
        return self.ended(
            Exit.REFUSED,
            f"{self._there} takes no pushes ({why}), so this waits for a person: {made.what}",
            f"Branch {name} is pushed, and {where}. Nothing was brought up.",
            "Have it merged: what brings up the branch brings it up." if url else f"Open the pull request: {by_hand}",
        )

    async def planned(self) -> Outcome:
        """The plan of what is in the file now, with the policies; kept for `bring_up`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        out, save = self.folder / "plan.md", self.folder / "plan.json"
        self._planned = True
        return await self.did("plan", plan(await self.opened(), out=out, save=save, policy_pack=self.packs or None))

    async def bring_up(self) -> Outcome:
        """One update, of the newest commit of the branch, and of nothing but what was planned."""
        desk, follows = await self.opened(), self.line is not None
        self.screen.listen()  # from here on ^C is a wish that the engine hears once, and takes traffic back for
        return await self.did(
            "up",
            up(
                desk,
                plan=self.folder / "plan.json" if self._planned else None,
                reason=self.wish.reason,
                branch=self.wish.branch if follows else "",
                remote=self.wish.remote,
            ),
        )

    async def undo(self, done: Outcome, *, unmade: bool | None) -> Outcome:
        """After an update that did not succeed: take the commit back where what it says did not come to be.

        Args:
            unmade: what the world says of it; None where nobody can tell.
        """
        if not self.commits or not self.facts.commit:
            return self.end(done)
        if done.exit not in UNTOUCHED or unmade is not True:
            so = "what it says is there" if unmade is False else "it may be in force"
            kept = f"Commit {self.facts.commit[:10]} stays, because {so}."
            return self.end(done.model_copy(update={"world": f"{done.world} {kept}".strip()}))
        if self.line is not None and done.exit in EARLY and await self._overtaken():
            kept = (
                f"Commit {self.facts.commit[:10]} stays: {self._there} has newer ones, and with them it is brought up."
            )
            return self.end(done.model_copy(update={"world": f"{done.world} {kept}".strip()}))
        said = await self._reverted()
        return self.end(done.model_copy(update={"world": f"{done.world} {said}".strip()}))

    async def _overtaken(self) -> bool:
        assert self.line is not None
        before = self.line.head
        try:
            return await asyncio.to_thread(self.line.begin) != before
        except Refused:
            return False

    async def _reverted(self) -> str:
        """The revert in the branch as well, or what a person has to do instead."""
        commit, ended = self.facts.commit, self.facts
        self.base = self.line.head if self.line is not None else ""
        end = await self.land("revert", lambda desk: revert(desk, commit))
        undone, pushed = self.facts.commit, self.facts.pushed and end is None
        self._told(
            commit=commit, pushed=ended.pushed, recomputed=ended.recomputed, undone=undone if end is None else ""
        )
        if end is not None:
            return f"{end.what} So {self.wish.branch} says what is not so: git revert {commit[:10]} by hand."
        return f"Commit {commit[:10]} is reverted by {undone[:10]}{', which is pushed' if pushed else ''}."

    def nothing(self, what: str) -> Outcome:
        """There was nothing to do."""
        self._told(nothing=True)
        return self.ended(Exit.OK, f"{what} There is nothing to do.")

    def ended(self, code: Exit, what: str, world: str = "", next: str = "") -> Outcome:
        """How this phase ended."""
        return Outcome(exit=code, what=what, world=world, next=next, facts=self.facts)

    def end(self, outcome: Outcome) -> Outcome:
        """The same, in the words of the step that ended it."""
        return self.ended(outcome.exit, outcome.what, outcome.world, outcome.next)


def moved(done: Outcome) -> bool:
    """Whether an update had begun to move traffic."""
    return isinstance(done.facts, Brought) and bool(done.facts.moves)
