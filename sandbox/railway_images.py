"""Which image a reference names: the sandbox's own registry, and one foreign registry that it may stand in for.

A stack file names images that this computer does not have. With a mirror such as `ghcr.io/acme`, each reference of that
registry runs as the sandbox's good image of the same app, whatever the digest: what is proved then is the stack file,
not the release. Deployments keep the reference as it was written, so that a client's comparison of digests holds.

A service may also be built from a repository: each that is known stands for an image of the registry, as if that were
what its newest commit builds. The commit is named after the image, so another image is another commit.

Deliberately not here: what an image does (`sandbox.registry`), bad images of a mirrored registry, and real builds.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox import registry

STANDS_FOR = "v2"  # the sandbox's own tag behind every mirrored reference: current, not the oldest
REFERENCE = re.compile(
    r"(?P<repository>(?:[a-z0-9._-]+/)*(?P<app>[a-z0-9._-]+))(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image at hand: its digest, and the reference in the sandbox's registry that it runs as."""

    digest: str
    runs: str


class Images:
    """What can be pulled and built.

    `mirror` is a foreign registry and the path in it, such as `ghcr.io/acme`; `built` is by repository the image that
    a build of it gives, such as `acme/web` and `registry.sandbox/backend:v1`.
    """

    def __init__(self, mirror: str | None = None, built: Mapping[str, str] | None = None) -> None:
        self._mirror = f"{mirror.rstrip('/')}/" if mirror else None
        self._built = {repository: registry.resolve(image) for repository, image in (built or {}).items()}

    @property
    def repositories(self) -> list[str]:
        """Every repository that can be built."""
        return sorted(self._built)

    def commit(self, repository: str) -> str:
        """The newest commit of a repository."""
        content = f"{repository} {self._built.get(repository)}"
        return hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()

    def build(self, repository: str) -> str:
        """The reference, in the sandbox's registry, of the image that a build of the repository gives.

        Raises:
            registry.UnknownImage: the repository cannot be built here (any more).
        """
        if repository not in self._built:
            raise registry.UnknownImage(f"{repository} cannot be built here. Start the stand-in with --built for it.")
        return self._built[repository]

    def pull(self, reference: str) -> Pulled:
        """The image behind a reference, pinned or not.

        Raises:
            registry.UnknownImage: there is none.
        """
        if self._mirror is None or not reference.startswith(self._mirror):
            pinned = registry.resolve(reference)
            return Pulled(pinned.partition("@")[2], pinned)
        found = REFERENCE.fullmatch(reference.removeprefix(self._mirror))
        if found is None or found["app"] not in registry.APPS or not (found["tag"] or found["digest"]):
            raise registry.UnknownImage(
                f"{reference} is not in the mirror of {self._mirror[:-1]}. It serves {' and '.join(registry.APPS)}, "
                "nothing else. Name one of them, pinned by a digest."
            )
        digest = found["digest"] or "sha256:" + hashlib.sha256(reference.encode()).hexdigest()
        return Pulled(digest, registry.resolve(f"{registry.HOST}/{found['app']}:{STANDS_FOR}"))
