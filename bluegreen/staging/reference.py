"""Which image is meant: `repository:tag`, `repository@sha256:…`, or less where the rest is what is live.

The repository stays spelled as it was given, since that is what stands in the file; where its registry answers is told
apart. A tag is never assumed: `latest` is what somebody has to write.
"""

import re
from dataclasses import dataclass

from bluegreen.handler import Refused

HUB, HUB_API = "docker.io", "registry-1.docker.io"  # Docker Hub's registry is called otherwise than it is reached
DIGEST = r"sha256:[0-9a-f]{64}"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
REPOSITORY = r"[a-z0-9][a-zA-Z0-9._-]*(?::[0-9]+)?(?:/[a-z0-9][a-zA-Z0-9._-]*)*"
WHOLE = re.compile(rf"(?P<repository>{REPOSITORY})(?::(?P<tag>{TAG}))?(?:@(?P<digest>{DIGEST}))?")


@dataclass(frozen=True, slots=True)
class Reference:
    """One image of one repository, by its tag, its digest, or both."""

    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def host(self) -> str:
        """The registry, as a config names it."""
        first, slash, _ = self.repository.partition("/")
        # Docker's rule: what has neither a dot nor a port is somebody's name at Docker Hub.
        return first if slash and ("." in first or ":" in first or first == "localhost") else HUB

    @property
    def path(self) -> str:
        """The repository's name at its registry."""
        name = self.repository.removeprefix(f"{self.host}/")
        return name if self.host != HUB or "/" in name else f"library/{name}"

    @property
    def label(self) -> str:
        """What a person calls it: the tag, or so much of the digest that two are told apart."""
        return self.tag or (self.digest or "")[: len("sha256:") + 12]

    @property
    def tagged(self) -> str | None:
        """`repository:tag`, as it stands in a comment."""
        return f"{self.repository}:{self.tag}" if self.tag else None

    def __str__(self) -> str:
        return f"{self.repository}{f':{self.tag}' if self.tag else ''}{f'@{self.digest}' if self.digest else ''}"


def reference(word: str, live: str | None) -> Reference:
    """What somebody has typed; `live` is the image whose repository a tag or a digest alone belongs to.

    Raises:
        Refused: it names no image, or none exactly.
    """
    repository = live.partition("@")[0] if live else None
    alone = re.fullmatch(TAG, word) or re.fullmatch(DIGEST, word)
    if alone and repository:
        hexed = word.startswith("sha256:")
        return Reference(repository, None if hexed else word, word if hexed else None)
    found = WHOLE.fullmatch(word)
    if found is None or alone:
        raise Refused(
            f"{word!r} names no image.",
            world="Nothing was changed.",
            next="Write repository:tag or repository@sha256:…; a tag alone is one of the live image's repository.",
        )
    if found["tag"] is None and found["digest"] is None:
        raise Refused(
            f"{word} has neither a tag nor a digest.",
            world="Nothing was changed.",
            next=f"Say which: {word}:TAG.",
        )
    return Reference(found["repository"], found["tag"], found["digest"])
