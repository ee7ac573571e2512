"""Which schemas an API serves: what PostgREST is told in the database, or `public` where it is told nothing there.

Asked of the database itself and never of a copy, where settings with a dot in their names are left behind. Not here:
what PostgREST is told by its own file or environment.
"""

from bluegreen.postgres.session import Session

PUBLIC = ("public",)
PLATFORM = ("storage", "graphql_public")  # they change by themselves, at the platform's own time
# As PostgREST reads them: its login role's own, and rather those of this database.
SERVED = """
select split_part(c, '=', 2) from pg_catalog.pg_db_role_setting s
join pg_catalog.pg_roles r on r.oid = s.setrole and r.rolname = 'authenticator',
unnest(s.setconfig) with ordinality told (c, at)
where split_part(c, '=', 1) = 'pgrst.db_schemas'
    and s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
order by s.setdatabase desc limit 1
"""
THERE = "select nspname::text from pg_catalog.pg_namespace where nspname = any (%s)"


async def exposed(session: Session) -> tuple[str, ...]:
    """The schemas that are served and are there, but for the platform's."""
    rows = await session.rows(SERVED)
    named = [name.strip().strip('"') for name in str(rows[0][0]).split(",")] if rows else list(PUBLIC)
    there = {name for (name,) in await session.rows(THERE, named)}
    return tuple(name for name in named if name in there and name not in PLATFORM)
