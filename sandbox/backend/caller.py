"""Who asks: the bearer token of a request as a role of the database and the claims that its policies read.

No token is `anon`. A token is a JWT signed with HS256 and the project's secret, as Supabase Auth makes them: it has
`exp`, a `role` that is one of three, and, for a person, a `sub` that is their id. Nothing else in it is passed on.

Deliberately not here: sessions, refresh tokens, asymmetric keys.
"""

import json
import uuid
from dataclasses import dataclass

import jwt

from sandbox.app_pages import Refusal

ROLES = ("anon", "authenticated", "service_role")
AUDIENCE = "authenticated"
PASSED_ON = ("sub", "role", "email")
LONGEST = 4096  # characters of a token


@dataclass(frozen=True, slots=True)
class Caller:
    """A role of the database, and what its policies know of the person."""

    role: str
    claims: str


NOBODY = Caller("anon", '{"role": "anon"}')


def caller(authorization: str | None, secret: str) -> Caller:
    """The caller behind an Authorization header; a bad one is refused with 401."""
    if authorization is None:
        return NOBODY
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > LONGEST:
        raise _unauthorised("The Authorization header is not `Bearer` and a token.")
    try:
        claims = jwt.decode(
            token, secret, algorithms=["HS256"], options={"require": ["exp"], "verify_aud": False, "verify_iss": False}
        )
    except jwt.ExpiredSignatureError:
        raise _unauthorised("The token has expired.") from None
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise _unauthorised("The token is not one of ours.") from None
    return Caller(_role(claims), json.dumps({name: claims[name] for name in PASSED_ON if name in claims}))


def _role(claims: dict[str, object]) -> str:
    role, audience = claims.get("role"), claims.get("aud", AUDIENCE)
    if role not in ROLES or AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        raise _unauthorised("The token is for something else than this API.")
    if not isinstance(claims.get("email", ""), str) or (role == "authenticated" and not _is_id(claims.get("sub"))):
        raise _unauthorised("The token names nobody.")
    return str(role)


def _is_id(subject: object) -> bool:
    try:
        return isinstance(subject, str) and str(uuid.UUID(subject)) == subject.lower()
    except ValueError:
        return False


def _unauthorised(sentence: str) -> Refusal:
    return Refusal(401, sentence, WWW_Authenticate="Bearer")
