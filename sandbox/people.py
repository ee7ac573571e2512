"""Accounts in the sandbox, as a sign-in service would make them: for the demo and for whoever tries the API by hand.

`python -m sandbox.people DATABASE_URL NAME` signs somebody up and prints the token that the API asks for.
"""

import sys
import time
import uuid
from dataclasses import dataclass

import jwt
import psycopg

JWT_SECRET = "the-sandbox-signs-its-tokens-with-this-secret"
LIVES = 24 * 3600.0  # seconds that a token is good for


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account."""

    id: str
    email: str

    @property
    def token(self) -> str:
        """A token as Supabase Auth makes it."""
        claims = {"sub": self.id, "email": self.email, "role": "authenticated", "aud": "authenticated"}
        return jwt.encode({**claims, "exp": int(time.time() + LIVES)}, JWT_SECRET, "HS256")


def sign_up(database_url: str, name: str) -> Person:
    """Somebody new; `database_url` is the owner's."""
    person = Person(str(uuid.uuid4()), f"{name}@example.com")
    with psycopg.connect(database_url, autocommit=True) as line:
        line.execute("insert into auth.users (id, email) values (%s, %s)", (person.id, person.email))
    return person


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m sandbox.people DATABASE_URL NAME")
    print(sign_up(sys.argv[1], sys.argv[2]).token)
