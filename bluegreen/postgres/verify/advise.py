"""An advisor's remarks on new objects, and on nothing else: what was there before is not this migration's matter."""

from collections.abc import Collection

from bluegreen.postgres.session import Session
from bluegreen.postgres.verify import objects
from bluegreen.postgres.verify.lints import LINTS, Lint
from bluegreen.postgres.verify.objects import Objects
from bluegreen.spec import State


class Advice(State):
    """A remark: its name, what it is about, what is wrong with that, and what to do."""

    name: str = ""
    object: str = ""
    message: str = ""
    hint: str = ""


async def advise(
    session: Session, names: Collection[str], exposed: Collection[str] = ("public",)
) -> tuple[Advice, ...]:
    """Every remark on these objects; `exposed` are the schemas that an API shows."""
    named = await objects.found(session, names)
    values: dict[str, list[int] | list[str]] = {
        "oids": list(named.around),
        "functions": list(named.functions),
        "exposed": list(exposed),
    }
    told: list[Advice] = []
    async with objects.every_schema_spelled(session):
        for lint in LINTS:
            for oid, part, about, more in await session.rows(_filled(session, lint.query, values)):
                if _meant(named, lint, oid, part):
                    told.append(_advice(lint, about, more))
    return tuple(sorted(told, key=lambda advice: (advice.object, advice.name)))


def _filled(session: Session, query: str, values: dict[str, list[int] | list[str]]) -> str:
    return query % {name: session.literal(value) for name, value in values.items()}


def _meant(named: Objects, lint: Lint, oid: int, part: str) -> bool:
    if lint.kind == "function":
        return oid in named.functions
    if lint.kind == "index":
        return oid in named.whole or int(part) in named.indexes
    return named.mean(lint.kind, oid, part) if lint.kind else oid in named.whole


def _advice(lint: Lint, about: str, more: str) -> Advice:
    said = {"object": about, "more": more}
    return Advice(name=lint.name, object=about, message=lint.message.format(**said), hint=lint.hint.format(**said))
