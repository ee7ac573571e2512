"""`bluegreen`: every verb as a command, one way to print, one table of exit codes."""

import asyncio
import inspect
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from bluegreen.cli.migrate import migrate
from bluegreen.cli.orphans import orphans
from bluegreen.cli.recover import recover
from bluegreen.cli.screen import Screen
from bluegreen.cli.stack import Stack
from bluegreen.cli.validate import validate
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.cli.verify import verify
from bluegreen.connections import connect
from bluegreen.handler import Halt
from bluegreen.settings import Settings

VERBS: tuple[Callable[..., Awaitable[Outcome]], ...] = (migrate, orphans, recover, validate, verify)

StackName = Annotated[str, typer.Option("--stack", envvar="PULUMI_STACK", help="The Pulumi stack.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@app.callback()
def main() -> None:
    """Zero-downtime blue/green releases: what people and pipelines run."""


def command(verb: Callable[..., Awaitable[Outcome]]) -> Callable[..., None]:
    """A verb as a typer command: its own options, `--stack` and `--json`; it prints once and exits."""

    def run(*, stack: str, json_wanted: bool, **given: Any) -> None:
        outcome = asyncio.run(_run(verb, stack, given))
        if json_wanted:
            print(json.dumps(outcome.model_dump(mode="json", by_alias=True), ensure_ascii=False))
        else:
            print(" ".join(beat for beat in (outcome.what, outcome.world, outcome.next) if beat))
        sys.exit(outcome.exit)

    own = [p for p in inspect.signature(verb).parameters.values() if p.name != "desk"]
    shared = [
        inspect.Parameter("stack", inspect.Parameter.KEYWORD_ONLY, annotation=StackName),
        inspect.Parameter("json_wanted", inspect.Parameter.KEYWORD_ONLY, annotation=Json, default=False),
    ]
    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = verb.__name__, verb.__doc__
    return run


async def _run(verb: Callable[..., Awaitable[Outcome]], name: str, given: dict[str, Any]) -> Outcome:
    try:
        stack = Stack.named(name)
        config = stack.config()
        settings = Settings.parse(stack.project, stack.name, config)
        connections = connect(
            {key.partition(":")[2]: text for key, text in config.items() if key.startswith("bluegreen:")}, os.environ
        )
        try:
            return await verb(Desk(stack, settings, connections, Screen()), **given)
        finally:
            await connections.close()
    except Halt as halt:
        return Outcome(exit=Exit.REFUSED, what=halt.what, world=halt.world, next=halt.next)


for each in VERBS:
    app.command()(command(each))

if __name__ == "__main__":
    app(prog_name="bluegreen")
