"""Where a client finds the sandbox's Postgres, and as whom: for the world, which needs no driver to say so.

Deliberately not here: the server (`sandbox.postgres`), and any secret worth keeping. It listens on 127.0.0.1 only.
"""

PASSWORD = "sandbox-postgres"
SUPERUSER, OWNER, APP = "supabase_admin", "postgres", "authenticator"
DATABASE = "postgres"


def address(port: int, user: str = OWNER, database: str = DATABASE) -> str:
    """The connection URL; every role of the baseline that may log in has the same password."""
    return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{port}/{database}"
