"""Which stack a verb is about, where it may be named without `--stack`, as the first word: `bluegreen validate prod`.

`--stack` and PULUMI_STACK mean what they mean everywhere. Whoever names the stack by `--stack` gives every word to the
verb itself, and so does PULUMI_STACK where the first word is a span of time, which is no stack. It deliberately reads
the words only after they are parsed: which of them belong to an option is the parser's to know.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, get_args

import typer
from typer.models import ArgumentInfo

SPAN = re.compile(r"([0-9]+[smhd]?)+")

Place = Annotated[str | None, typer.Argument(metavar="STACK", help="The Pulumi stack; or --stack, or PULUMI_STACK.")]
StackName = Annotated[str, typer.Option("--stack", envvar="PULUMI_STACK", help="The Pulumi stack.")]


def parameters() -> Sequence[inspect.Parameter]:
    """The first word and the option; each may stand for the other. `ctx` knows where each came from."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return (
        inspect.Parameter("ctx", kind, annotation=typer.Context),
        inspect.Parameter("place", kind, annotation=Place, default=None),
        inspect.Parameter("stack", kind, annotation=StackName, default=""),
    )


def words(verb: Callable[..., Any]) -> Sequence[str]:
    """The names of the verb's own positional parameters."""
    return [
        parameter.name
        for parameter in inspect.signature(verb).parameters.values()
        if any(isinstance(part, ArgumentInfo) for part in get_args(parameter.annotation)[1:])
    ]


def placed(
    verb: Callable[..., Any], stack: str, *, ctx: typer.Context, place: str | None, **given: Any
) -> tuple[str, Mapping[str, Any]]:
    """The stack's name, and what the verb itself was given.

    Raises:
        BadParameter: no stack was named, or there is a word too many.
    """
    own = words(verb)
    taken = _written(ctx, "stack") or (stack and own and SPAN.fullmatch(place or ""))
    if place is not None and not taken:
        return place, given
    if not stack:
        msg = "name the stack: as the first word, by --stack, or in PULUMI_STACK."
        raise typer.BadParameter(msg, param_hint="STACK")
    if place is None:
        return stack, given
    said = [place, *(given[name] for name in own if _written(ctx, name))]
    if len(said) > len(own):
        msg = f"{said[-1]!r} is a word too many: --stack names the stack already."
        raise typer.BadParameter(msg, param_hint="STACK")
    defaults = {name: inspect.signature(verb).parameters[name].default for name in own}
    return stack, {**given, **defaults, **dict(zip(own, said, strict=False))}


def _written(ctx: typer.Context, name: str) -> bool:
    """Whether this stood on the command line."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
