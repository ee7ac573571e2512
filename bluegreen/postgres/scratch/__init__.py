"""A Postgres of our own that lives for seconds, a copy of a database's shape in it, and a file tried there."""
