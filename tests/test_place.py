"""Which stack a verb is about: the first word, `--stack`, the environment, and what is left for the verb itself."""

from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from bluegreen.cli import __main__ as cli
from bluegreen.cli.place import placed, words

Word = Annotated[str, typer.Argument()]


async def monitor(desk: Any, *, duration: Word = "5m", interval: Word = "30s", app: str = "") -> None:
    """A verb with words of its own."""


async def validate(desk: Any, *, app: str = "") -> None:
    """A verb without any."""


def told(verb: Any, *arguments: str, environment: str | None = None) -> Any:
    """What the verb gets: its stack and the rest; or the parser's complaint."""
    heard: list[Any] = []
    command = cli.command(verb)

    def run(**given: Any) -> None:
        given.pop("json_wanted")
        heard.append(placed(verb, given.pop("stack"), **given))

    run.__signature__ = command.__signature__  # type: ignore[attr-defined]
    program = typer.Typer()
    program.command()(run)
    done = CliRunner().invoke(program, arguments, env={"PULUMI_STACK": environment})
    return heard[0] if heard else done.output


@pytest.mark.parametrize(
    ("arguments", "environment", "stack", "duration", "interval"),
    [
        (["prod"], None, "prod", "5m", "30s"),
        (["prod", "300", "30"], None, "prod", "300", "30"),
        (["--stack", "prod", "300", "30"], None, "prod", "300", "30"),
        (["300", "--stack", "prod"], None, "prod", "300", "30s"),
        (["--stack", "prod"], None, "prod", "5m", "30s"),
        (["300", "30"], "prod", "prod", "300", "30"),
        (["1h30m"], "prod", "prod", "1h30m", "30s"),
        (["other", "300"], "prod", "other", "300", "30s"),
        ([], "prod", "prod", "5m", "30s"),
        (["org/shop/prod", "5m"], None, "org/shop/prod", "5m", "30s"),
    ],
)
def test_the_first_word_is_the_stack_unless_it_is_named_otherwise(
    arguments: list[str], environment: str | None, stack: str, duration: str, interval: str
) -> None:
    assert told(monitor, *arguments, environment=environment) == (
        stack,
        {"duration": duration, "interval": interval, "app": ""},
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "stack"),
    [
        (["prod"], None, "prod"),
        (["--app", "backend", "prod"], None, "prod"),
        (["2026"], "prod", "2026"),
        (["--stack", "prod"], "other", "prod"),
    ],
)
def test_a_verb_without_words_of_its_own_takes_any_first_word_for_its_stack(
    arguments: list[str], environment: str | None, stack: str
) -> None:
    assert told(validate, *arguments, environment=environment)[0] == stack


@pytest.mark.parametrize(
    ("verb", "arguments", "complaint"),
    [
        (validate, [], "name the stack"),
        (monitor, [], "name the stack"),
        (validate, ["other", "--stack", "prod"], "a word too many"),
        (monitor, ["1", "2", "3", "--stack", "prod"], "a word too many"),
    ],
)
def test_no_stack_and_a_word_too_many_are_told(verb: Any, arguments: list[str], complaint: str) -> None:
    assert complaint in " ".join(told(verb, *arguments).replace("│", " ").split())


def test_only_words_are_counted_as_words() -> None:
    assert words(monitor) == ["duration", "interval"]


def test_every_verb_that_looks_at_a_release_takes_its_stack_as_a_word() -> None:
    names = {verb.__name__ for verb in cli.VERBS}
    assert [name for name in cli.PLACED if name not in names] == []
