"""The policy rule about what is written in clear: what gives a secret away, and what only looks like one."""

import pytest

from tests.policies_room import said, service

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2lnbmF0dXJlb2Y"
KEY_BLOCK = "-----BEGIN RSA PRIVATE KEY-----\nMIIE"
TOKEN = "sk_live_" + "4" * 24


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_LEVEL", "info"),
        ("MAX_TOKENS", "4096"),
        ("TOKEN_TTL", "15m"),
        ("MONKEY", "george"),
        ("DB_PASSWORD", ""),
        ("CACHE_KEY", "true"),
        ("API_TOKEN", "${{shared.API_TOKEN}}"),
        ("DATABASE_URL", "postgresql://app:${{Postgres.PASSWORD}}@db.internal/app"),
        ("DATABASE_HOST", "postgresql://db.internal:5432/app"),
        ("MAIL_FROM", "team@acme.dev"),
        ("RELEASE_HASH", "3b0f6d7a54c1f2d8f5a0c79f1b2e4d6c"),
        ("PUBLIC_API_KEY", "the key that every browser shows"),
        ("PUBLIC_ANON", JWT),
    ],
)
def test_what_everybody_may_see_is_content(name: str, value: str) -> None:
    assert said("variables-public", service(variables={name: value})) == []


@pytest.mark.parametrize(
    "name",
    [
        "KEY",
        "API_KEY",
        "APIKEY",
        "stripe_key",
        "GITHUB_TOKEN",
        "AUTHTOKEN",
        "CLIENT_SECRET",
        "SECRET_KEY_BASE",
        "PGPASSWORD",
        "DB_PASSWD",
        "SSH_PASSPHRASE",
        "DB_PWD",
        "GOOGLE_CREDENTIALS",
    ],
)
def test_a_name_gives_a_secret_away(name: str) -> None:
    assert said("variables-public", service(variables={name: "hunter"})) == [
        f"backend-blue: the variable {name} is named as a secret, and stands in clear in the stack file and in state. "
        "backend-blue is left as it is. Take it out of variables, change it where it is used, and set it by pulumi "
        f"config set --secret --path '<project>:secrets.<app>.<colour>.{name}'."
    ]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (JWT, "looks like a JWT"),
        (f"Bearer {JWT}", "looks like a JWT"),
        (KEY_BLOCK, "holds a private key"),
        ("postgresql://app:hunter@db.internal/app", "is a URL with a password in it"),
        ("redis://:hunter@cache", "is a URL with a password in it"),
        (TOKEN, "looks like an access token"),
        ("ghp_" + "a" * 36, "looks like an access token"),
        ("AKIA" + "B" * 16, "looks like an access token"),
        ("sb_secret_" + "c" * 20, "looks like an access token"),
    ],
)
def test_a_value_gives_itself_away_and_is_not_repeated(value: str, fault: str) -> None:
    [sentence] = said("variables-public", service(variables={"SETTING": value}))
    assert sentence.startswith(f"backend-blue: the variable SETTING {fault}, and stands in clear")
    assert value not in sentence


@pytest.mark.parametrize("value", [KEY_BLOCK, "https://me:hunter@acme.dev", TOKEN])
def test_no_name_makes_such_a_value_public(value: str) -> None:
    assert len(said("variables-public", service(variables={"PUBLIC_SETTING": value}))) == 1


def test_which_names_are_public_is_configurable() -> None:
    one = service(variables={"PUBLIC_KEY": "x", "ANON_KEY": "x"})
    assert len(said("variables-public", one)) == 1
    assert said("variables-public", one, public=["PUBLIC_*", "ANON_KEY"]) == []
    assert len(said("variables-public", one, public=[])) == 2


@pytest.mark.parametrize("command", ["startCommand", "preDeployCommand"])
def test_a_command_gives_a_secret_away_as_well(command: str) -> None:
    assert said("variables-public", service(**{command: "node server.js --key $KEY"})) == []
    [sentence] = said("variables-public", service(**{command: f"node server.js --key {TOKEN}"}))
    assert sentence.startswith(f"backend-blue: {command} looks like an access token, and stands in clear")
    assert TOKEN not in sentence
