"""`bluegreen`: every verb as a command, one way to print, one table of exit codes."""

import asyncio
import inspect
import json
import os
import shutil
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bluegreen.cli.adopt import Door, adopt
from bluegreen.cli.approve import approve
from bluegreen.cli.bypass import bypass
from bluegreen.cli.drill import drill
from bluegreen.cli.hold import hold
from bluegreen.cli.keep import keep
from bluegreen.cli.migrate import migrate
from bluegreen.cli.monitor import monitor
from bluegreen.cli.observe import observe
from bluegreen.cli.orphans import orphans
from bluegreen.cli.phase import phase
from bluegreen.cli.place import StackName, parameters, placed
from bluegreen.cli.plan import plan
from bluegreen.cli.promote import promote
from bluegreen.cli.recover import recover
from bluegreen.cli.rehearse import rehearse
from bluegreen.cli.report import report
from bluegreen.cli.revert import revert
from bluegreen.cli.rollback import rollback
from bluegreen.cli.schema import schema
from bluegreen.cli.screen import Screen
from bluegreen.cli.stack import Stack
from bluegreen.cli.stage import stage
from bluegreen.cli.status import status
from bluegreen.cli.streams import forgive, printed
from bluegreen.cli.up import up
from bluegreen.cli.validate import validate
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.cli.verify import verify
from bluegreen.connections import DOORS, connect, variable
from bluegreen.handler import Halt, Refused
from bluegreen.settings import Settings

VERBS: tuple[Callable[..., Awaitable[Outcome]], ...] = (
    adopt,
    approve,
    bypass,
    drill,
    hold,
    keep,
    migrate,
    monitor,
    observe,
    orphans,
    phase,
    plan,
    promote,
    recover,
    rehearse,
    report,
    revert,
    rollback,
    schema,
    stage,
    status,
    up,
    validate,
    verify,
)
# They have to work while Pulumi, its state or its secrets are out of reach.
ENGINE_FREE = (approve, bypass, hold, monitor, observe, promote, report, revert, rollback, stage, status)

# They have to work with a config that no update would take.
LENIENT = (rollback,)

# They come to a stop of their own when they are asked to.
LISTENING = (migrate,)

# They are about no stack at all.
DESKLESS = (drill, phase, schema)

# They may be told their stack as the first word, too.
PLACED = ("adopt", "monitor", "plan", "report", "status", "up", "validate")

# They write the config: before it there are no settings.
BEFORE = (adopt,)

DEBUG = "BLUEGREEN_DEBUG"

Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@app.callback()
def main() -> None:
    """Zero-downtime blue/green releases: what people and pipelines run."""


def command(verb: Callable[..., Awaitable[Outcome]]) -> Callable[..., None]:
    """A verb as a typer command: its own options, `--stack` and `--json`; it prints once and exits."""

    def run(*, json_wanted: bool, stack: str = "", **given: Any) -> None:
        name, own = placed(verb, stack, **given) if verb.__name__ in PLACED else (stack, given)
        outcome = asyncio.run(_run(verb, name, own))
        if json_wanted:
            print(json.dumps(outcome.model_dump(mode="json", by_alias=True), ensure_ascii=False))
        else:
            print(" ".join(beat for beat in (outcome.what, outcome.world, outcome.next) if beat))
        printed()
        sys.exit(outcome.exit)

    own = [p for p in inspect.signature(verb).parameters.values() if p.name not in ("desk", "door")]
    named = [inspect.Parameter("stack", inspect.Parameter.KEYWORD_ONLY, annotation=StackName)]
    *first, named_by = parameters() if verb.__name__ in PLACED else named
    shared = [
        *[named_by] * (verb not in DESKLESS),
        inspect.Parameter("json_wanted", inspect.Parameter.KEYWORD_ONLY, annotation=Json, default=False),
    ]
    run.__signature__ = inspect.Signature([*first, *own, *shared])  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = verb.__name__, verb.__doc__
    return run


async def _run(verb: Callable[..., Awaitable[Outcome]], name: str, given: Mapping[str, Any]) -> Outcome:
    try:
        if verb in DESKLESS:
            return await verb(**given)
        stack = Stack.named(name, engine=verb not in ENGINE_FREE)
        config = _plain(stack) if verb in ENGINE_FREE else stack.config()
        read = Settings.leniently if verb in LENIENT else Settings.parse
        settings = read(stack.project, stack.name, config) if verb not in BEFORE else None
        connections = connect(
            {key.partition(":")[2]: text for key, text in config.items() if key.startswith("bluegreen:")}, os.environ
        )
        screen = Screen()
        if verb in LISTENING:
            screen.listen()
        try:
            if settings is None:
                return await verb(Door(stack, config, connections, screen), **given)
            return await verb(Desk(stack, settings, connections, screen), **given)
        finally:
            screen.leave()
            await connections.close()
    except Halt as halt:
        return Outcome(exit=Exit.REFUSED, what=halt.what, world=halt.world, next=halt.next)
    except Exception as fault:
        if os.environ.get(DEBUG) == "1":
            raise
        return _fault(verb.__name__, fault)


def _fault(verb: str, fault: Exception) -> Outcome:
    """The last resort. What the fault says itself is left out: it may hold anything, a key included."""
    where = traceback.extract_tb(fault.__traceback__)[-1]
    return Outcome(
        exit=Exit.FAULT,
        what=f"{verb} met a fault of bluegreen itself: {type(fault).__name__} in {where.name} "
        f"({Path(where.filename).name}, line {where.lineno}).",
        world="Nothing more is known of the world.",
        next=f"Run it again with {DEBUG}=1, which shows the traceback, and report that.",
    )


def _plain(stack: Stack) -> dict[str, str]:
    """The config without Pulumi, unless what opens Kong's door is encrypted in it and not in the environment."""
    config, encrypted = stack.plain_config()
    shut = [key for key in DOORS if f"bluegreen:{key}" in encrypted and not os.environ.get(variable(key))]
    if shut and shutil.which("pulumi") is None:
        raise Refused(
            f"bluegreen:{shut[0]} is encrypted in the config, and there is no pulumi on PATH that could read it.",
            world="Nothing was changed.",
            next=f"Set {variable(shut[0])} in the environment.",
        )
    return stack.config() if shut else config


for each in VERBS:
    app.command()(command(each))

if __name__ == "__main__":
    forgive()
    app(prog_name="bluegreen")
