"""The table of kinds: what there is in a schema, and the query that tells all of a kind.

A kind is the first word or words of an object's name in a snapshot: `table public.teams`. Adding one is a query in the
module of its kin and a line here; that it is noticed needs a line in the list of changes that the tests go through.
"""

from collections.abc import Mapping
from functools import cache

from bluegreen.postgres.catalog import programs, relations, surroundings, types
from bluegreen.postgres.catalog.identity import NUMBERS
from bluegreen.postgres.catalog.words import PREFACE

KINDS: Mapping[str, str] = {
    "schema": surroundings.SCHEMAS,
    "extension": surroundings.EXTENSIONS,
    "language": surroundings.LANGUAGES,
    "enum": types.ENUMS,
    "domain": types.DOMAINS,
    "composite type": types.COMPOSITES,
    "range type": types.RANGES,
    "base type": types.BASE_TYPES,
    "collation": types.COLLATIONS,
    "cast": types.CASTS,
    "operator": types.OPERATORS,
    "operator class": types.OPERATOR_CLASSES,
    "text search configuration": types.TEXT_SEARCH_CONFIGURATIONS,
    "text search dictionary": types.TEXT_SEARCH_DICTIONARIES,
    "sequence": relations.SEQUENCES,
    "table": relations.TABLES,
    "foreign table": relations.FOREIGN_TABLES,
    "column": relations.COLUMNS,
    "constraint": relations.CONSTRAINTS,
    "index": relations.INDEXES,
    "view": relations.VIEWS,
    "materialized view": relations.MATERIALIZED_VIEWS,
    "statistics": relations.STATISTICS,
    "function": programs.FUNCTIONS,
    "procedure": programs.PROCEDURES,
    "aggregate": programs.AGGREGATES,
    "trigger": programs.TRIGGERS,
    "event trigger": programs.EVENT_TRIGGERS,
    "rule": programs.RULES,
    "policy": programs.POLICIES,
    "publication": surroundings.PUBLICATIONS,
    "published table": surroundings.PUBLISHED_TABLES,
    "published schema": surroundings.PUBLISHED_SCHEMAS,
    "subscription": surroundings.SUBSCRIPTIONS,
    "foreign data wrapper": surroundings.WRAPPERS,
    "server": surroundings.SERVERS,
    "user mapping": surroundings.USER_MAPPINGS,
    "default privileges": surroundings.DEFAULT_PRIVILEGES,
    "role": surroundings.ROLES,
    "membership": surroundings.MEMBERSHIPS,
    "settings": surroundings.ROLE_SETTINGS,
    "database": surroundings.DATABASE,
    "comment": surroundings.COMMENTS,
}

# Where nearly every database has nothing at all outside Postgres's own schemas: to plan a query for each would take as
# long as to answer all the others. What is asked first is never narrower than the kind's own query.
_OUTSIDE = "not in (select oid from system)"
_SYSTEM = "select oid from pg_namespace where nspname ~ '^pg_' or nspname = 'information_schema'"
RARE: Mapping[str, str] = {
    "enum": f"pg_type where typtype = 'e' and typnamespace {_OUTSIDE}",
    "domain": f"pg_type where typtype = 'd' and typnamespace {_OUTSIDE}",
    "range type": f"pg_type where typtype = 'r' and typnamespace {_OUTSIDE}",
    "composite type": "pg_class where relkind = 'c'",
    "collation": f"pg_collation where collnamespace {_OUTSIDE}",
    "cast": "pg_cast where oid >= 16384",
    "operator": f"pg_operator where oprnamespace {_OUTSIDE}",
    "operator class": f"pg_opclass where opcnamespace {_OUTSIDE}",
    "text search configuration": f"pg_ts_config where cfgnamespace {_OUTSIDE}",
    "text search dictionary": f"pg_ts_dict where dictnamespace {_OUTSIDE}",
    "foreign table": "pg_foreign_table",
    "materialized view": "pg_class where relkind = 'm'",
    "statistics": "pg_statistic_ext",
    "procedure": f"pg_proc where prokind = 'p' and pronamespace {_OUTSIDE}",
    "aggregate": f"pg_proc where prokind = 'a' and pronamespace {_OUTSIDE}",
    "event trigger": "pg_event_trigger",
    "rule": "pg_rewrite w join pg_class c on c.oid = w.ev_class where w.rulename <> '_RETURN' "
    f"and c.relnamespace {_OUTSIDE}",
    "publication": "pg_publication",
    "published table": "pg_publication_rel",
    "published schema": "pg_publication_namespace",
    "subscription": "pg_subscription",
    "foreign data wrapper": "pg_foreign_data_wrapper",
    "server": "pg_foreign_server",
    "user mapping": "pg_foreign_server",
}


@cache
def present() -> str:
    """Which of the rare kinds there may be: their names, a row each."""
    asked = (f"select '{kind}' where exists (select from {where})" for kind, where in RARE.items())
    return f"with system as materialized ({_SYSTEM})\n" + "\nunion all\n".join(asked)


@cache
def question(rare: frozenset[str] = frozenset(RARE)) -> str:
    """Everything at once: (kind, name, what it is like) of every object; `#` for numbers, and nothing for the major.

    `rare` are those of the rare kinds that there may be.
    """
    parts = (
        f"select '{kind}' as kind, of_kind.name, of_kind.like_this::text from ({query}) of_kind (name, like_this)"
        for kind, query in KINDS.items()
        if kind not in RARE or kind in rare
    )
    numbers = f"select '#', of_number.name, of_number.number from ({NUMBERS}) of_number (name, number)"
    version = "select '', (current_setting('server_version_num')::int / 10000)::text, null"
    return PREFACE + "\nunion all\n".join((*parts, numbers, version))
