"""The demo backend: an HTTP API over Postgres in which row level security decides, not the app.

`pages` answers, `routes` says how a path becomes one statement, `projects` and `teams` are the two tables of routes,
`caller` reads tokens, `pool` holds the connections, `refusals` turns what Postgres says into a status and a sentence.
"""
