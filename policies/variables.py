"""The rule about what is written in clear: nothing that somebody could log in with.

What is in a service's `variables` lies in the stack file, in state and in Railway for whoever may look; what is in its
`secrets` is encrypted in the first two. A name or the look of a value gives a secret away; a value is never repeated in
what is said. It deliberately does not guess by randomness: ids and hashes are random too.
"""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from policies.parameters import names
from policies.rule import Config, Finding, Resource, broken, mapping

PUBLIC = names("Patterns of names that everybody may see, such as those of a frontend.", ["PUBLIC_*"])
REFERENCE = re.compile(r"\$\{\{[^}]*\}\}")  # Railway's own way to name a variable of somebody else
HARMLESS = re.compile(r"\s*(?:[0-9.]*|true|false|yes|no|on|off)\s*", re.IGNORECASE)
NAMED = re.compile(
    r"(?:^|_|API)KEY$|(?:^|_|AUTH)TOKEN$|(?:^|_)(?:SECRET|PWD|CREDENTIALS?)$|SECRET_?KEY|PASS(?:WORD|WD|PHRASE)$",
    re.IGNORECASE,
)
JWT = (re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"), "looks like a JWT")
# What nobody may see even where the name says that everybody may.
NEVER = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"), "holds a private key"),
    (re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE), "is a URL with a password in it"),
    (
        re.compile(
            r"\b(?:(?:sk|rk)_(?:live|test)_\w{16,}|sk-[\w-]{20,}|gh[opsu]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{18,}"
            r"|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|sb_secret_\w{10,}|sbp_\w{30,}|npm_\w{30,}|whsec_\w{16,})"
        ),
        "looks like an access token",
    ),
)
COMMANDS = ("startCommand", "preDeployCommand")


def variables_are_public(service: Resource, config: Config) -> Iterator[Finding]:
    """Whoever may read the stack file, the state or a log may read a variable."""
    variables = mapping(service.at("release.variables", {}))
    for name, value in sorted(variables.items()):
        if (fault := _fault(name, value, config["public"])) is not None:
            yield broken(
                service,
                f"the variable {name} {fault}, and stands in clear in the stack file and in state",
                f"Take it out of variables, change it where it is used, and set it by pulumi config set --secret "
                f"--path '<project>:secrets.<app>.<colour>.{name}'.",
            )
    for name in COMMANDS:
        if (fault := _looks(service.at(f"release.{name}"), NEVER)) is not None:
            yield broken(
                service,
                f"{name} {fault}, and stands in clear in the stack file and in state",
                "Change it where it is used, set it as a secret, and let the command read that variable.",
            )


def _fault(name: str, value: Any, public: Sequence[str]) -> str | None:
    if any(fnmatchcase(name, pattern) for pattern in public):
        return _looks(value, NEVER)
    looks = _looks(value, (*NEVER, JWT))
    if looks is None and NAMED.search(name) and isinstance(value, str) and not HARMLESS.fullmatch(_own(value)):
        return "is named as a secret"
    return looks


def _looks(value: Any, like: Sequence[tuple[re.Pattern[str], str]]) -> str | None:
    if not isinstance(value, str):
        return None
    return next((said for pattern, said in like if pattern.search(_own(value))), None)


def _own(value: str) -> str:
    """What is written here itself, without what is only referred to."""
    return REFERENCE.sub("", value)
