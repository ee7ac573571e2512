"""How a person takes the database back: three ways, from the smallest loss to the largest, with commands to paste.

Every command has the real names in it and takes the address from the environment, so that a password is neither shown
nor kept in a shell's history. It is plain Markdown: it goes to a terminal as it is, and into every report.
"""

import shlex
from collections.abc import Sequence
from pathlib import PurePath

from bluegreen.postgres.backup.state import Backup
from bluegreen.postgres.backup.tables import parts
from bluegreen.postgres.catalog.spec import Reverse

ADDRESS = '"$BLUEGREEN_DATABASE_URL"'
LOSSES = 12  # objects named, before it says how many more there are


def instructions(
    backup: Backup | None, reverse: Reverse | None, where: str, *, version: str = "", script: str = ""
) -> str:
    """The ways back of the database at `where`; `script` is where the reverse script lies."""
    parts = [
        f"The database is {_flat(where)}. `BLUEGREEN_DATABASE_URL` holds its address, password included; "
        "take traffic back first, because that needs no change of the database.",
        _by_reverse(reverse, version, script),
        _by_archive(backup),
        _by_platform(backup),
    ]
    return "\n\n".join(parts) + "\n"


def _by_reverse(reverse: Reverse | None, version: str, script: str) -> str:
    title = "### 1. Run the reverse script"
    if reverse is None or not reverse.script:
        return f"{title}\n\nThere is none: it is made by the dry run on a copy."
    gone = "up and down" if reverse.lasting else "up, down and up again"
    proven = f"It was proven on a copy: {gone}." if reverse.proven else "It was not proven on a copy."
    path = shlex.quote(script or "rollback.sql")
    lossy = [f"{way.object}: {way.why}" for way in reverse.objects if way.verdict == "reversible with loss"]
    stays = [f"{way.object}: {way.why}" for way in reverse.objects if way.verdict == "forward only"]
    accept = " --accept-data-loss" if lossy else ""
    setting = " --command \"set bluegreen.accept_data_loss = 'on'\"" if lossy else ""
    alone = "without this program; it dumps nothing first" if lossy else "without this program"
    return "\n".join(
        [
            f"{title}: {reverse.verdict}",
            "",
            f"{proven} It takes its locks as an apply does, and takes the ledger's row along.",
            "",
            "```sh",
            f"bluegreen migrate rollback {version or 'VERSION'} --script {path}{accept}",
            f"# or, {alone}:",
            f"psql {ADDRESS} --set ON_ERROR_STOP=1{setting} --file {path}",
            "```",
            "",
            *_listed("Lost, where there are rows by then:", lossy, "Nothing is lost."),
            *_listed("Stays as it is:", stays, ""),
        ]
    ).rstrip()


def _by_archive(backup: Backup | None) -> str:
    title = "### 2. Put rows back from the dump"
    if backup is None or backup.at is None or backup.archive is None:
        return f"{title}\n\nThere is no dump."
    held = backup.archive
    path = shlex.quote(str(PurePath(backup.folder) / held.name))
    tested = f"It was restored once on {backup.restored_on}." if backup.restored else "It was not test-restored."
    lines = [
        title,
        "",
        f"{path} shows the database at {backup.dumped_at:%Y-%m-%d %H:%M:%S} UTC. {tested}",
        "",
        "```sh",
        f"echo {shlex.quote(f'{held.sha256}  {PurePath(backup.folder) / held.name}')} | sha256sum --check",
        *_commands(backup.asked or held.tables, path),
        "```",
        "",
    ]
    if held.tables:
        lines.append(
            "Lost: what was written into those tables since then. The second way needs the right to set "
            "`session_replication_role` (Supabase's `postgres` has it); without it restore the tables one by one, "
            "those that others point at first."
        )
    left = [f"{each}; {each.next}" for each in backup.left_out]
    return "\n".join([*lines, *([""] if left else []), *_listed("Not in it:", left, "")]).rstrip()


def _commands(tables: Sequence[str], path: str) -> list[str]:
    """Looking into it beside the database, and the rows of each table back into it."""
    if not tables:
        return ["# It holds no rows, only shapes:", f"pg_restore --schema-only --file - {path}"]
    names = [parts(table) for table in tables]
    each = " ".join(f"--schema {shlex.quote(schema)} --table {shlex.quote(name)}" for schema, name in names)
    first = ", ".join(tables)
    return [
        "# look at the rows first; nothing is changed by this",
        f"pg_restore --data-only {each} --file - {path}",
        "# all of those tables as they were: emptied and filled again, in one transaction, foreign keys asleep",
        "(",
        "  echo 'begin; set local session_replication_role = replica;'",
        f"  echo {shlex.quote(''.join(f'delete from only {table}; ' for table in tables).rstrip())}",
        f"  pg_restore --data-only {each} --file - {path}",
        "  echo 'commit;'",
        f") | psql {ADDRESS} --set ON_ERROR_STOP=1",
        f"# tables that are gone ({first}): their shape first, by the reverse script above or by",
        f"#   pg_restore --schema-only {each} --dbname {ADDRESS} {path}",
    ]


def _by_platform(backup: Backup | None) -> str:
    title = "### 3. Take the whole database back in time"
    if backup is None or backup.at is None:
        return f"{title}\n\nThe moment was not marked."
    lsn = f" (log position {backup.lsn})" if backup.lsn else ""
    return (
        f"{title}\n\n"
        f"Point-in-time recovery to **{backup.at:%Y-%m-%d %H:%M:%S} UTC**, "
        f"{int(backup.at.timestamp())} in seconds{lsn}: "
        "in Supabase's dashboard under Database, Backups, Point in time. "
        f"The platform's own backups: {_flat(backup.platform) or 'not asked'}.\n\n"
        "Lost: everything that anybody has written since, in every table; and the database is away while it restores. "
        "Run `pulumi refresh` afterwards."
    )


def _listed(title: str, points: Sequence[str], none: str) -> list[str]:
    if not points:
        return [none] if none else []
    more = [f"- and {len(points) - LOSSES} more"] if len(points) > LOSSES else []
    return [title, *(f"- {_flat(point)}" for point in points[:LOSSES]), *more]


def _flat(text: str) -> str:
    return " ".join(text.split())
