"""The reverse script as a file: what it undoes stands in its head, so that it can be held against the ledger.

What the head says is told in `reverse_file.py`, which reads it. The file runs with psql alone too; then it takes the
rows out of the ledgers by itself, as far as those ledgers are there.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from bluegreen.postgres.catalog import script
from bluegreen.postgres.plan import Plan

LEDGERS = {
    "bluegreen.migrations": "delete from bluegreen.migrations where version = '{0}'",
    "bluegreen.segments": "delete from bluegreen.segments where version = '{0}'",
    "bluegreen.catalog": "delete from bluegreen.catalog where version = '{0}'",
    "supabase_migrations.schema_migrations": "delete from supabase_migrations.schema_migrations where version = '{0}'",
}


def reverse_script(plan: Plan) -> str:
    """The whole file."""
    assert plan.reverse is not None
    return script(plan.reverse, about=("", *_head(plan)), last=(_out_of_the_ledgers(plan.version),))


def script_name(plan: Plan) -> str:
    at = plan.written_at or datetime.fromtimestamp(0, UTC)
    return f"rollback_{plan.label}_{at.astimezone(UTC):%Y%m%dT%H%M%SZ}.sql"


def _head(plan: Plan) -> Iterator[str]:
    assert plan.reverse is not None
    at = f"{plan.written_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if plan.written_at else ""
    about = {
        "undoes": plan.label,
        "sha256": plan.sha256,
        "owner": plan.owner,
        "written": at,
        "where": plan.where,
        "verdict": plan.reverse.verdict,
        "proven": "yes" if plan.reverse.proven else "no",
        "before": plan.production,
    }
    for word, value in about.items():
        yield f"bluegreen:{word} {' '.join(value.split())}"


def _out_of_the_ledgers(version: str) -> str:
    found = "\n".join(
        f"    if pg_catalog.to_regclass('{table}') is not null then {statement.format(version)}; end if;"
        for table, statement in LEDGERS.items()
    )
    return f"do $ledgers$\nbegin\n{found}\nend\n$ledgers$"
