"""What each of squawk's rules counts for here, and why: one table.

*scan*: it stops the app for as long as there are rows, in whichever phase; refused unless the database says that the
table is small. *lock*: it stops the app, or cannot work, however few rows there are. *taken*: it takes away or changes
what the release that runs relies on; that is what a contract is for, and refused before one, unless a rule of our own
has said so already. *watch*: it may be harmless; warned of. *care*: cheap to put right now and dear later, so it is
warned of in new tables too; *style* is only an info there. *known*: our own rules or the runner see to it; an info.

Excluded altogether: what the runner itself provides.
"""

from dataclasses import dataclass
from typing import Literal

from bluegreen.postgres.lint.findings import Level
from bluegreen.postgres.spec import Phase

Concern = Literal["scan", "lock", "taken", "watch", "care", "style", "known"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule's weight and the reason for it."""

    concern: Concern
    because: str

    def level(self, phase: Phase) -> Level:
        """What a finding counts for in a file of that phase."""
        if self.concern in ("scan", "lock") or (self.concern == "taken" and phase == "expand"):
            return "refuse"
        return "warn" if self.concern in ("watch", "care") else "info"

    @property
    def of_new(self) -> bool:
        """Whether it matters where the file itself makes the table."""
        return self.concern in ("care", "style")


def _all(concern: Concern, **because: str) -> dict[str, Judged]:
    return {name.replace("_", "-"): Judged(concern, reason) for name, reason in because.items()}


SCAN = _all(
    "scan",
    adding_field_with_default="rewrites the table under ACCESS EXCLUSIVE",
    adding_foreign_key_constraint="scans the table while nobody can write to either",
    adding_not_nullable_field="scans the table under ACCESS EXCLUSIVE",
    adding_serial_primary_key_field="builds an index under ACCESS EXCLUSIVE",
    constraint_missing_not_valid="scans the table under the lock of the statement that adds it",
    disallowed_unique_constraint="builds an index under ACCESS EXCLUSIVE",
    require_concurrent_index_creation="nobody writes to the table while it is built",
    require_concurrent_reindex="stops writers, and readers that plan with the index",
)
LOCK = _all(
    "lock",
    adding_required_field="fails where there are rows, and refuses what the old release inserts",
    ban_alter_domain_with_add_constraint="scans every table that uses the domain",
    ban_concurrent_index_creation_in_transaction="cannot run; asked only of what shares a transaction",
    ban_truncate_cascade="empties tables that the file does not name",
    changing_column_type="rewrites the table, or at best takes ACCESS EXCLUSIVE and every cached plan",
    require_concurrent_index_deletion="waits for, and then stops, every reader of the table",
    require_concurrent_partition_detach="stops every reader of the whole partitioned table",
    transaction_nesting="a file's transactions are the runner's",
    ban_uncommitted_transaction="a file's transactions are the runner's",
    ban_duplicate_column_assignments="the statement cannot mean what it says",
)
TAKEN = _all(
    "taken",
    ban_alter_extension="another version may have other functions",
    ban_alter_identity="the old release may write the column itself, or rely on it being written",
    ban_alter_policy_condition="other rows are seen, or accepted",
    ban_alter_policy_roles="other people see rows",
    ban_alter_database_options="changes every session of every release",
    ban_alter_role_options="changes every session of that role",
    ban_alter_row_level_security="rows vanish, or are shown",
    ban_alter_sequence_values="the old release may be handed numbers that are taken",
    ban_alter_system_options="changes the whole server",
    ban_alter_view_options="may change who the view's rows are read as",
    ban_detach_inheritance="rows vanish from the parent",
    ban_disable_trigger="what the old release relies on no longer happens",
    ban_drop_column="whoever selects it fails",
    ban_drop_constraint="ON CONFLICT needs it; what it kept out comes in",
    ban_drop_database="everything is gone",
    ban_drop_default="inserts without the column store null, or fail",
    ban_drop_domain="whoever names it fails",
    ban_drop_extension="its functions and types are gone",
    ban_drop_function="whoever calls it fails",
    ban_drop_generated_expression="the column is no longer written",
    ban_drop_index="the old release's queries may need it, and ON CONFLICT does",
    ban_drop_policy="rows vanish, or are shown",
    ban_drop_schema="everything in it is gone",
    ban_drop_sequence="whoever draws from it fails",
    ban_drop_table="whoever names it fails, and its rows are gone",
    ban_drop_trigger="what the old release relies on no longer happens",
    ban_drop_type="whoever names it fails",
    ban_drop_view="whoever selects from it fails",
    ban_replica_identity="subscribers see other keys, or other tables",
    ban_revoke="whoever needs the right fails",
    ban_set_schema="whoever names it fails",
    renaming_column="whoever names it fails",
    renaming_object="whoever names it fails",
    renaming_table="whoever names it fails",
)
WATCH = _all(
    "watch",
    ban_alter_function_options="the old release calls it too",
    ban_drop_not_null="the old release may read a null for the first time",
    ban_replace_view_function="the old release uses it too; fine while it gives the same answers",
    ban_set_default="rows that the old release inserts get it too",
    require_enum_value_ordering="the new value sorts last, and never moves again",
)
CARE = _all(
    "care",
    ban_char_field="pads with blanks",
    identifier_too_long="Postgres cuts it off at 63 bytes, and no tool finds it by its name",
    prefer_timestamp_tz="the instant depends on who reads it",
)
STYLE = _all(
    "style",
    ban_create_domain_with_constraint="its constraint can only be changed by scanning every table that uses it",
    prefer_bigint_over_int="right for a key: two thousand million rows later the table has to be rewritten",
)
KNOWN = _all(
    "known",
    ban_add_column="what an expand is for; SELECT * and INSERT without columns notice",
    ban_add_composite_attribute="what an expand is for",
    ban_add_enum_value="what an expand is for; it can never be taken back",
    ban_alter_generated_expression="table-rewrite and adding-field-with-default say so",
    ban_create_policy="rls-on-existing-table looks at what it does",
    ban_new_write_restriction="new-restriction knows a column that nobody writes yet from one that is written",
    prefer_bigint_over_smallint="a choice",
    prefer_identity="a choice",
    prefer_repack="vacuum-full-or-cluster says so",
    prefer_robust_stmts="IF NOT EXISTS hides drift and invalid indexes; the ledger sees to it that nothing runs twice",
    prefer_text_field="a choice",
    require_table_schema="the session's search_path is fixed",
)
RULES: dict[str, Judged] = {**SCAN, **LOCK, **TAKEN, **WATCH, **CARE, **STYLE, **KNOWN}
# The runner sets both timeouts, and they must not be applied to an index that is built concurrently.
EXCLUDED = ("require-lock-timeout", "require-statement-timeout", "require-timeout-settings")
INCLUDED = tuple(sorted(RULES))
# These say of one constraint what constraint-missing-not-valid says of every one.
PRECISE = ("adding-foreign-key-constraint", "adding-serial-primary-key-field", "disallowed-unique-constraint")
UNHEARD = Judged("watch", "a rule that this version does not know")
