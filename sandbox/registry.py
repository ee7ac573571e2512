"""The sandbox's image registry: which tags exist, to which digest each is pinned, and what the image behind it does.

A tag is `v1` … `v999`, alone (a good image) or followed by a behaviour: `v42-slow`, `v42-failing`, `v42-broken`,
`v42-unready`, `v42-crashing`, `v42-crash-later`. Version 1 is the release from before teams. A digest is the SHA-256 of
the image's name, tag and behaviour, so every process derives the same one and nothing is stored; since the set of tags
is bounded, a digest is led back to its tag by generating the set once.

Deliberately not here: layers, a registry HTTP interface, floating tags. Pulling is what `sandbox.railway` pretends.
"""

import argparse
import hashlib
import re
import sys
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

HOST = "registry.sandbox"
APPS = ("backend", "frontend")
VERSIONS = range(1, 1000)


class Behaviour(StrEnum):
    """What the demo app does when it is shipped in this image."""

    GOOD = "good"
    SLOW = "slow"  # healthy, but every answer of the app itself takes 2.5 s
    FAILING = "failing"  # healthy, but every 20th answer of the app itself is a 500: an error rate of 5 %
    BROKEN = "broken"  # healthy, but every answer of the app itself is a 500
    UNREADY = "unready"  # /health and /ready answer 503
    CRASHING = "crashing"  # exits 1 at start
    CRASH_LATER = "crash-later"  # starts well and exits 1 a few seconds later


@dataclass(frozen=True, slots=True)
class Image:
    """One image of the sandbox: an app, a version and a behaviour."""

    app: str
    version: int
    behaviour: Behaviour

    @property
    def tag(self) -> str:
        good = self.behaviour is Behaviour.GOOD
        return f"v{self.version}" if good else f"v{self.version}-{self.behaviour.value}"

    @property
    def digest(self) -> str:
        named = f"{HOST}/{self.app}:{self.tag} does {self.behaviour.value}"
        return "sha256:" + hashlib.sha256(named.encode()).hexdigest()

    @property
    def pinned(self) -> str:
        return f"{HOST}/{self.app}@{self.digest}"


class UnknownImage(Exception):
    """The reference names no image of the sandbox's registry."""


REFERENCE = re.compile(rf"{re.escape(HOST)}/(?P<app>[a-z]+)(?::(?P<tag>[\w.-]+)|@(?P<digest>sha256:[0-9a-f]{{64}}))")
TAG = re.compile(r"v(?P<version>[1-9]\d{0,2})(?:-(?P<behaviour>[a-z-]+))?")


@cache
def by_digest() -> dict[str, Image]:
    """Every image there is; generating them takes some 20 ms, so it happens on the first digest that is asked for."""
    images = (Image(app, version, behaviour) for app in APPS for version in VERSIONS for behaviour in Behaviour)
    return {image.digest: image for image in images}


def image(reference: str) -> Image:
    """The image behind a tag or a digest, or `UnknownImage`."""
    found = REFERENCE.fullmatch(reference)
    if found is None or found["app"] not in APPS:
        raise UnknownImage(
            f"{reference} is not in the sandbox's registry. It serves {HOST}/backend and {HOST}/frontend, nothing else."
            f" Name one of them, such as {HOST}/backend:v42."
        )
    if found["digest"]:
        known = by_digest().get(found["digest"])
        if known is None or known.app != found["app"]:
            raise UnknownImage(
                f"{reference} does not exist: no tag of {HOST}/{found['app']} has this digest."
                f" Resolve a tag first: python -m sandbox.registry resolve {HOST}/{found['app']}:v42."
            )
        return known
    parts = TAG.fullmatch(found["tag"])
    behaviours = {behaviour.value: behaviour for behaviour in Behaviour}
    wanted = (parts["behaviour"] or Behaviour.GOOD.value) if parts else ""
    if parts is None or wanted not in behaviours or parts["behaviour"] == Behaviour.GOOD.value:
        endings = ", ".join(f"-{value}" for value in behaviours if value != Behaviour.GOOD.value)
        raise UnknownImage(
            f"{reference} does not exist. Tags are v{VERSIONS[0]} to v{VERSIONS[-1]}, alone or ending in {endings}."
        )
    return Image(found["app"], int(parts["version"]), behaviours[wanted])


def resolve(reference: str) -> str:
    """The reference pinned by digest."""
    return image(reference).pinned


def behaviour(reference: str) -> Behaviour:
    """What the image behind this reference does."""
    return image(reference).behaviour


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.registry", description="Images of the sandbox.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (("resolve", "Print the reference pinned by digest."), ("describe", "Print tag and behaviour.")):
        verbs.add_parser(verb, help=text).add_argument("reference")
    options = parser.parse_args(arguments)
    try:
        found = image(options.reference)
    except UnknownImage as error:
        print(error, file=sys.stderr)
        return 1
    print(found.pinned if options.verb == "resolve" else f"{HOST}/{found.app}:{found.tag} {found.behaviour.value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
