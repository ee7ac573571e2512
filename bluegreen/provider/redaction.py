"""What was ever secret in this process is never shown: every text on its way out passes here.

A value shorter than six characters is left alone: it is no secret worth the name, and when a whole config object is
secret its harmless parts ("green", "info") would make every sentence unreadable. It hides whole values only, not what
was derived from them.
"""

from collections.abc import Iterable

from bluegreen.provider.wire import Bag, at, texts

SHORTEST = 6
HIDDEN = "***"


class Redactor:
    """Knows every secret text that was seen, and hides it."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._longest_first: list[str] = []

    def learn(self, secrets: Iterable[str]) -> None:
        """From now on these are hidden."""
        fresh = {secret for secret in secrets if len(secret) >= SHORTEST} - self._secrets
        if fresh:
            self._secrets |= fresh
            self._longest_first = sorted(self._secrets, key=len, reverse=True)

    def watch(self, bag: Bag) -> Bag:
        """The same bag, after its secrets were learned."""
        for path in bag.secrets:
            self.learn(texts(at(bag.values, path)))
        return bag

    def __call__(self, text: str) -> str:
        for secret in self._longest_first:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        return text
