"""What the environment says to one process of the demo app, read once and complete.

SANDBOX_IMAGE decides which app this is, which version of it and how it behaves; SANDBOX_APP, SANDBOX_VERSION and
SANDBOX_BEHAVIOUR say the same one by one where there is no image. Version 1 is the release from before teams.

The backend's own: DATABASE_URL (login `authenticator`) and SUPABASE_JWT_SECRET, both or neither. The frontend's own:
PUBLIC_API_URL and PUBLIC_API_KEY, which go into its page as they are, so nothing secret belongs there.

Deliberately not here: what any of it leads to (`sandbox.app`, `sandbox.backend`, `sandbox.frontend`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.registry import APPS, VERSIONS, Behaviour, image

LEAST_SECRET = 32  # bytes: what RFC 7518 asks of an HS256 key


@dataclass(frozen=True, slots=True)
class Setup:
    """What the environment says about this process."""

    app: str
    version: int
    behaviour: Behaviour
    release: str
    colour: str
    port: int | None
    draining: float
    crash_after: float
    control: int | None
    backdoor: int | None
    database_url: str | None = field(default=None, repr=False)
    jwt_secret: str = field(default="", repr=False)
    api_url: str = ""
    api_key: str = ""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Setup":
        """From environment variables; a ValueError's text says what is wrong."""
        app, version, does = _shipped(env)
        setup = cls(
            app=app,
            version=version,
            behaviour=does,
            release=env.get("BLUEGREEN_RELEASE", "unreleased"),
            colour=env.get("BLUEGREEN_COLOUR", "none"),
            port=int(env["PORT"]) if env.get("PORT") else None,
            draining=float(env.get("SANDBOX_DRAINING_SECONDS", "30")),
            crash_after=float(env.get("SANDBOX_CRASH_AFTER", "5")),
            control=int(env["SANDBOX_CONTROL_FD"]) if "SANDBOX_CONTROL_FD" in env else None,
            backdoor=int(env["SANDBOX_BACKDOOR_FD"]) if "SANDBOX_BACKDOOR_FD" in env else None,
            database_url=env.get("DATABASE_URL") or None,
            jwt_secret=env.get("SUPABASE_JWT_SECRET", ""),
            api_url=env.get("PUBLIC_API_URL", "").rstrip("/"),
            api_key=env.get("PUBLIC_API_KEY", ""),
        )
        if setup.port is None and setup.control is None:
            raise ValueError("PORT is not set; the app does not know where to listen.")
        if setup.database_url and len(setup.jwt_secret.encode()) < LEAST_SECRET:
            raise ValueError(
                f"SUPABASE_JWT_SECRET has {len(setup.jwt_secret.encode())} bytes; with DATABASE_URL the app checks "
                f"tokens, and a key of HS256 has {LEAST_SECRET} or more. Set the project's JWT secret."
            )
        return setup


def _shipped(env: Mapping[str, str]) -> tuple[str, int, Behaviour]:
    """App, version and behaviour."""
    if reference := env.get("SANDBOX_IMAGE"):
        found = image(reference)
        return found.app, found.version, found.behaviour
    app, version = env.get("SANDBOX_APP", "backend"), env.get("SANDBOX_VERSION", "1")
    if app not in APPS:
        raise ValueError(f"SANDBOX_APP is {app!r}; the demo app is one of {', '.join(APPS)}.")
    if not version.isdecimal() or int(version) not in VERSIONS:
        raise ValueError(f"SANDBOX_VERSION is {version!r}; a version is {VERSIONS[0]} to {VERSIONS[-1]}.")
    return app, int(version), Behaviour(env.get("SANDBOX_BEHAVIOUR", Behaviour.GOOD.value))
