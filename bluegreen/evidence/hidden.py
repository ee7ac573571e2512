"""What is secret is taken out of whatever is about to be written, in every spelling that it may have.

Texts are searched, never whole JSON: a secret that happens to be spelled as a bracket or a number must not break a
line. A word by which a reader tells entries apart stays. It hides whole values only, not what was derived from them.
"""

import base64
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

SHOWN = "[secret]"
SHORTEST = 6  # a shorter one is no secret worth the name, and hiding it would make every sentence unreadable
TELLS_APART = "kind"


class Hide:
    """Takes secrets out of JSON values: of their texts, and of their keys."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= SHORTEST}
        self._spelled = sorted({spelling for secret in known for spelling in _spellings(secret)}, key=len, reverse=True)
        self._as_json = [json.dumps(text, ensure_ascii=False)[1:-1] for text in self._spelled]

    def __call__(self, value: Any) -> Any:
        """The same without them."""
        return _without(value, self._spelled) if self._spelled else value

    def json(self, text: str) -> str:
        """The same for JSON as pydantic writes it; only what holds one is taken apart."""
        if not any(spelling in text for spelling in self._as_json):
            return text
        return json.dumps(self(json.loads(text)), ensure_ascii=False, separators=(",", ":"))


NOTHING = Hide()


def hiding(secrets: Iterable[str]) -> Hide:
    """What takes these out."""
    return Hide(secrets)


def _spellings(secret: str) -> Iterable[str]:
    coded = base64.b64encode(secret.encode()).decode()
    return (secret, quote(secret, safe=""), quote_plus(secret), coded, coded.rstrip("="))


def _without(value: Any, spelled: Iterable[str]) -> Any:
    if isinstance(value, str):
        for text in spelled:
            if text in value:
                value = value.replace(text, SHOWN)
        return value
    if isinstance(value, dict):
        return {_without(key, spelled): _kept(key, each, spelled) for key, each in value.items()}
    return [_without(each, spelled) for each in value] if isinstance(value, list) else value


def _kept(key: str, value: Any, spelled: Iterable[str]) -> Any:
    return value if key == TELLS_APART else _without(value, spelled)
