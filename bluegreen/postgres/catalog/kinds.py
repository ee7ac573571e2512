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


@cache
def question() -> str:
    """Everything at once: (kind, name, what it is like) of every object; `#` for numbers, and nothing for the major."""
    parts = (
        f"select '{kind}' as kind, of_kind.name, of_kind.like_this::text from ({query}) of_kind (name, like_this)"
        for kind, query in KINDS.items()
    )
    numbers = f"select '#', of_number.name, of_number.number from ({NUMBERS}) of_number (name, number)"
    version = "select '', (current_setting('server_version_num')::int / 10000)::text, null"
    return PREFACE + "\nunion all\n".join((*parts, numbers, version))
