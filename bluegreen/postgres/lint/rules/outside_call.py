"""A built-in function that reaches past the migration: it waits, ends sessions, writes files, or undoes what is held.

Problem: pg_sleep() and pg_advisory_lock() hold every lock that is held already while they wait; pg_terminate_backend()
ends somebody's request; lo_unlink(), pg_reload_conf() or a dropped replication slot come back with no reverse, and most
of them with no rollback either. set_config() and SET in code can take away the runner's patience for locks.
Solution: leave it out. What has to wait is a file of its own; one job is guarded by pg_try_advisory_xact_lock(), which
does not wait and is over at commit.
Levels: refused in either phase, wherever it stands: in code, in a query, in what a trigger runs.
Source: PostgreSQL manual, 9.28 System Administration Functions; squawk has no such rule.
"""

from collections.abc import Iterator

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.names import kind, walk, words
from bluegreen.postgres.lint.parsed import DEFINES, Parsed
from bluegreen.postgres.lint.world import World
from bluegreen.postgres.statements import KEPT, takes_over

NAME = "outside-call"
DOES = {
    "waits, and so does whoever needs what is locked by then": (
        "pg_sleep pg_sleep_for pg_sleep_until pg_advisory_lock pg_advisory_lock_shared pg_promote"
    ),
    "ends what others are doing": "pg_terminate_backend pg_cancel_backend",
    "writes what no rollback takes back": (
        "lo_unlink lo_export lo_import lo_put lowrite pg_file_write pg_file_unlink pg_file_rename pg_file_sync"
        " pg_logical_emit_message pg_import_system_collations pg_create_restore_point pg_switch_wal"
    ),
    "changes the whole server": (
        "pg_reload_conf pg_rotate_logfile pg_wal_replay_pause pg_wal_replay_resume pg_backup_start pg_backup_stop"
        " pg_create_physical_replication_slot pg_create_logical_replication_slot pg_drop_replication_slot"
        " pg_replication_slot_advance pg_replication_origin_create pg_replication_origin_drop pg_stat_reset"
        " pg_stat_reset_shared pg_stat_statements_reset"
    ),
}
CALLS = {name: why for why, names in DOES.items() for name in names.split()}


def judge(statement: Parsed, world: World) -> Iterator[Fault]:
    node = statement.node
    if statement.kind not in DEFINES:
        for each in walk(node):
            if kind(each) == "FuncCall" and (name := words(each.funcname)[-1]) in CALLS and _built_in(each.funcname):
                yield Fault("refuse", f"{name}() {CALLS[name]}", "Leave it out of the migration.")
    if statement.kind == "LoadStmt" or (statement.kind == "CopyStmt" and node.filename):
        what = "LOAD" if statement.kind == "LoadStmt" else "COPY of a program" if node.is_program else "COPY of a file"
        yield Fault("refuse", f"{what} runs on the server itself, which no copy has", "Write INSERT.")
    elif statement.kind == "VariableSetStmt" and node.name == "session_replication_role":
        said = "no trigger fires and no foreign key is looked at from here on"
        yield Fault("refuse", said, "Leave session_replication_role as it is: what is written has to be right.")
    if statement.inner:  # in the file itself it is a fault already
        for said in takes_over(node):
            yield Fault("refuse", f"in the code that runs here, {said}", "Leave it out: it is set for every file.")
        if statement.kind == "VariableSetStmt" and (node.name in KEPT or node.kind.name == "VAR_RESET_ALL"):
            said = f"the code that runs here sets {node.name or 'every setting'}, which is the runner's to set"
            yield Fault("refuse", said, "Leave it out: it is set for every file.")


def _built_in(name: object) -> bool:
    parts = words(name)
    return len(parts) == 1 or parts[0] == "pg_catalog"
