"""Our own rules, one a module: NAME and one function `judge` over a statement and what it meets.

Each module's docstring holds the problem, the solution and where it is known from; docs/rules.md holds the same for
people, with SQL. A rule says nothing about what the file itself has made, except where it says so.
"""

from collections.abc import Callable, Iterator, Mapping

from bluegreen.postgres.lint.fault import Fault
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.rules import (
    attach_partition,
    bare_auth_call,
    blocking_refresh,
    definer_search_path,
    explicit_lock,
    exposed_without_rls,
    foreign_key_before_work,
    grant_to_everybody,
    new_restriction,
    opaque_code,
    outside_call,
    rls_on_existing_table,
    table_rewrite,
    trigger_on_existing_table,
    unbounded_write,
    unindexed_foreign_key,
    vacuum_full_or_cluster,
)
from bluegreen.postgres.lint.world import World

Rule = Callable[[Parsed, World], Iterator[Fault]]
RULES: Mapping[str, Rule] = {
    module.NAME: module.judge
    for module in (
        foreign_key_before_work,
        trigger_on_existing_table,
        vacuum_full_or_cluster,
        table_rewrite,
        explicit_lock,
        blocking_refresh,
        unbounded_write,
        opaque_code,
        outside_call,
        attach_partition,
        grant_to_everybody,
        definer_search_path,
        exposed_without_rls,
        bare_auth_call,
        unindexed_foreign_key,
        rls_on_existing_table,
        new_restriction,
    )
}
# What these say of a statement needs no phase-mismatch beside it.
OF_PHASE = frozenset({trigger_on_existing_table.NAME, rls_on_existing_table.NAME, new_restriction.NAME})
