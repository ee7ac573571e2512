"""What Postgres says, as a status and a sentence for a caller who knows no SQL.

A sentence that a function of ours raised goes through as it is. Everything else is told by its SQLSTATE: no table, no
constraint, no statement and no value ever reaches a client; the log gets the code and Postgres's first line.

Deliberately not here: requests that fail before they reach the database (`sandbox.backend.pages`).
"""

import psycopg

from sandbox.app_pages import Refusal

RAISED = "exec_stmt_raise"  # the place in PL/pgSQL from which a RAISE speaks: the text is our own
LATER = "The database cannot answer now; try again."
# SQLSTATE, or its class with the first two characters, → status and sentence. The longer one wins.
TABLE = {
    "42501": (403, "You may not do this."),
    "23505": (409, "There is one like it already."),
    "23503": (409, "It refers to something that is not there."),
    "23514": (400, "A value is not one that is allowed here."),
    "23502": (400, "A value is missing."),
    "22": (400, "A value does not have the form that is needed here."),
    "42P01": (503, "The database does not have what this release needs yet."),
    "42703": (503, "The database does not have what this release needs yet."),
    "42883": (503, "The database does not have what this release needs yet."),
    "55P03": (503, LATER),  # lock_timeout
    "57": (503, LATER),  # statement_timeout; the server is going down or coming up
    "53": (503, LATER),  # too many connections, no memory, no disk
    "40": (503, LATER),  # serialization, deadlock
    "08": (503, LATER),
}
# What our functions raise as plain exceptions: the request was fine, the state of things is not; else 400.
PLAIN = {
    "There is no such invitation.": 404,
    "This invitation has been accepted already.": 409,
    "This invitation was withdrawn.": 409,
    "This invitation has expired.": 409,
    "Whoever made this invitation may no longer invite.": 403,
}


def refusal(error: psycopg.Error) -> Refusal:
    """The answer to a request that Postgres refused."""
    code = error.sqlstate
    if code is None:
        # No answer came, or psycopg itself could not send a value (a NUL in a text).
        if isinstance(error, psycopg.DataError):
            return Refusal(400, "A value does not have the form that is needed here.", detail=type(error).__name__)
        return Refusal(503, LATER, detail=_first_line(error), Retry_After="1")
    status, sentence = TABLE.get(code) or TABLE.get(code[:2]) or (500, "Something went wrong here.")
    said = error.diag.message_primary or ""
    if error.diag.source_function == RAISED:
        return Refusal(PLAIN.get(said, 400) if code == "P0001" else status, said, detail=code)
    retry = {"Retry_After": "1"} if status == 503 else {}
    return Refusal(status, sentence, detail=f"{code} {said}", **retry)


def _first_line(error: psycopg.Error) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
