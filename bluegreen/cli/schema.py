"""`bluegreen schema [NAME]`: the JSON Schema of every document that a machine may read from here.

Without a name it lists them; with one it prints it. `--out docs/schemas` writes them to where they are published: after
a change of a model, that and a look at the difference. It deliberately validates nothing: any validator of draft
2020-12 does.
"""

from pathlib import Path
from typing import Annotated

import typer

from bluegreen.cli.documents import names, text_of, where
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.handler import Refused
from bluegreen.schemas import URN
from bluegreen.spec import Spec

ENDING = ".schema.json"
WORLD = "Nothing was written."

Named = Annotated[str | None, typer.Argument(help="One of those that are listed without it.", metavar="NAME")]
Out = Annotated[
    Path | None, typer.Option(help="Write them to this folder, a file each; what is no schema any more goes.")
]


class One(Spec):
    """One schema, by its name; `documents` is where what it describes is found."""

    name: str
    id: str
    documents: str


class Published(Spec):
    """Every schema that was asked for; `written` are the files that changed, `gone` those that were taken away."""

    schemas: tuple[One, ...]
    written: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


async def schema(name: Named = None, *, out: Out = None) -> Outcome:
    """Show the JSON Schema of what verbs answer with --json and of what lies in a release's bundle."""
    known = names()
    if name is not None and name not in known:
        what = f"There is no schema {name!r}."
        raise Refused(what, world=WORLD, next=f"Name one of {', '.join(known)}.")
    facts = Published(schemas=tuple(_one(each) for each in ((name,) if name else known)))
    if out is not None:
        return _written(facts, out, only=name is not None)
    if name is not None:
        return Outcome(exit=Exit.OK, what=text_of(name).rstrip("\n"), facts=facts)
    width = max(map(len, known))
    lines = [f"{each.name:<{width}}  {each.documents}" for each in facts.schemas]
    return Outcome(exit=Exit.OK, what="\n".join(lines), facts=facts)


def _one(name: str) -> One:
    return One(name=name, id=f"{URN}{name}", documents=where(name))


def _written(facts: Published, folder: Path, *, only: bool) -> Outcome:
    changed: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in facts.schemas:
            file, text = folder / f"{each.name}{ENDING}", text_of(each.name)
            if not file.exists() or file.read_text(encoding="utf-8") != text:
                file.write_text(text, encoding="utf-8")
                changed.append(file.name)
        known = {f"{name}{ENDING}" for name in names()}
        gone = [] if only else [file for file in sorted(folder.glob(f"*{ENDING}")) if file.name not in known]
        for file in gone:
            file.unlink()
    except OSError as problem:
        what = f"The schemas cannot be written to {folder}: {problem.strerror}."
        raise Refused(what, world=f"{len(changed)} of them were.", next="Name another folder after --out.") from None
    facts = facts.model_copy(update={"written": tuple(changed), "gone": tuple(file.name for file in gone)})
    also = f", and {', '.join(facts.gone)} went" if gone else ""
    return Outcome(
        exit=Exit.OK, what=f"{len(changed)} of {len(facts.schemas)} schemas changed in {folder}{also}.", facts=facts
    )
