"""An edit of a stack's file changes what it means to, as it is meant, and not a byte of anything else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.handler import Refused
from bluegreen.spec import Colour
from bluegreen.staging.edit import Apps
from bluegreen.staging.reference import Reference, reference
from sandbox.stack import ROOT

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
IMAGE = Reference("ghcr.io/acme/backend", "v42", NEW)


@dataclass(frozen=True, slots=True)
class File:
    """One way in which somebody writes a stack's file."""

    newline: str
    ending: bool  # whether the last line has an end
    step: int  # spaces a level
    flow: str  # which part is in braces: `app`, `colour`, or nothing
    quote: str
    tag: str  # where the comment with the tag is: `key`, `image`, or nowhere
    words: bool  # whether there are other comments
    idle: bool  # whether the idle colour is there already
    name: bool  # whether the live service has a name of its own
    last: bool  # whether nothing follows the app
    blank: bool

    def text(self) -> str:
        lines = ["# The stack.", "config:", f"{self.at(1)}shop:apps:  # here they are"]
        lines += [f"{self.at(2)}other: {{live: green, green: {{image: x@{OLD}}}}}"] * (not self.last)
        lines += self.app()
        if not self.last:
            lines += [
                "",
                f"{self.at(1)}shop:secrets:",
                f"{self.at(2)}key:",
                f"{self.at(3)}secure: v1:a==:b",
                "salt: v1:c=",
            ]
        return self.newline.join(lines) + self.newline * self.ending

    def app(self) -> list[str]:
        sides = ["blue", *(["green"] if self.idle else [])]
        if self.flow == "app":
            each = ", ".join(f"{side}: {self.inline(side)}" for side in sides)
            return [f"{self.at(2)}backend: {{kind: api, live: {self.quoted('blue')}, {each}}}"]
        lines = [
            f"{self.at(2)}backend:",
            f"{self.at(3)}kind: api",
            f"{self.at(3)}live: {self.quoted('blue')} # the line",
        ]
        for side in sides:
            lines += [f"{self.at(3)}# what {side} runs"] * self.words + [""] * self.blank + self.colour(side)
        return [*lines, f"{self.at(3)}routes: {{api: {{paths: [/api]}}}}"] if not self.last else lines

    def colour(self, side: str) -> list[str]:
        beside = {
            where: f" # ghcr.io/acme/backend:v{41 if side == 'blue' else 40}" if self.tag == where else ""
            for where in ("key", "image")
        }
        if self.flow == "colour":
            return [f"{self.at(3)}{side}: {self.inline(side)}{beside['key']}"]
        own = [f"{self.at(4)}serviceName: {side}-service"] * self.name
        lines = [
            f"{self.at(3)}{side}:{beside['key']}",
            *own,
            f"{self.at(4)}image: {self.quoted(self.image)}{beside['image']}",
        ]
        lines += [
            f"{self.at(4)}port: 8000{'  # as ever' if self.words else ''}",
            f"{self.at(4)}start: >-",
            f"{self.at(5)}a #b",
            f"{self.at(5)}c",
        ]
        return [*lines, f'{self.at(4)}variables: {{A: "1,2 # 3"}}', *[f"{self.at(4)}# and no more"] * self.words]

    def inline(self, side: str) -> str:
        own = f"serviceName: {side}-service, " if self.name else ""
        return f"{{{own}image: {json.dumps(self.image)}, port: 8000}}"

    @property
    def image(self) -> str:
        return f"ghcr.io/acme/backend@{OLD}"

    def at(self, level: int) -> str:
        return " " * (level * self.step)

    def quoted(self, value: str) -> str:
        return f"{self.quote}{value}{self.quote}"


FILES = st.builds(
    File,
    newline=st.sampled_from(["\n", "\r\n"]),
    ending=st.booleans(),
    step=st.sampled_from([2, 3, 4]),
    flow=st.sampled_from(["", "", "colour", "app"]),
    quote=st.sampled_from(["", '"', "'"]),
    tag=st.sampled_from(["", "key", "image"]),
    words=st.booleans(),
    idle=st.booleans(),
    name=st.booleans(),
    last=st.booleans(),
    blank=st.booleans(),
)


def block(text: str, colour: Colour) -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(text)["config"]["shop:apps"]["backend"][colour]
    return found


@given(FILES)
def test_a_staged_colour_is_the_live_one_with_another_image_and_its_own_name(file: File) -> None:
    text = file.text()
    apps = Apps.read(text, "shop")
    after = apps.staged("backend", "blue", "green", IMAGE)
    own = {"serviceName": "green-service"} if file.name and file.idle else {}
    copied = {key: value for key, value in block(text, "blue").items() if key != "serviceName"}
    assert block(after, "green") == {**copied, "image": f"ghcr.io/acme/backend@{NEW}", **own}
    assert block(after, "blue") == block(text, "blue")
    if file.flow != "app":
        assert Apps.read(after, "shop").tag("backend", "green") == "v42"


@given(FILES)
def test_a_colour_that_was_not_there_is_one_insertion_and_nothing_else_changes(file: File) -> None:
    text = replace(file, idle=False).text()
    after = Apps.read(text, "shop").staged("backend", "blue", "green", IMAGE)
    more = len(after) - len(text)
    same = next((at for at, (old, new) in enumerate(zip(text, after, strict=False)) if old != new), len(text))
    assert any(after[:at] + after[at + more :] == text for at in range(max(0, same - more), same + 1))
    assert [line for line in text.splitlines() if line not in after.splitlines() and file.flow != "app"] == []


@given(FILES)
def test_an_image_changed_and_changed_back_is_the_same_file(file: File) -> None:
    text = file.text()
    after = Apps.read(text, "shop").reimaged("backend", "blue", IMAGE)
    assert block(after, "blue") == {**block(text, "blue"), "image": f"ghcr.io/acme/backend@{NEW}"}
    old = Reference("ghcr.io/acme/backend", "v41" if file.tag and file.flow != "app" else None, OLD)
    back = Apps.read(after, "shop").reimaged("backend", "blue", old)
    if file.tag != "image" or file.flow != "colour":
        assert back == text


@given(FILES)
def test_the_line_changed_and_changed_back_is_the_same_file_and_one_word_differs(file: File) -> None:
    text = replace(file, idle=True).text()
    after = Apps.read(text, "shop").promoted("backend", "green")
    assert len(after) - len(text) == len("green") - len("blue")
    assert yaml.safe_load(after)["config"]["shop:apps"]["backend"]["live"] == "green"
    assert Apps.read(after, "shop").promoted("backend", "blue") == text


@pytest.mark.parametrize("name", ["production", "staging"])
@pytest.mark.parametrize("change", ["as it is", "crlf", "no last end"])
def test_both_real_files_take_both_edits_with_any_line_ends(name: str, change: str) -> None:
    text = (ROOT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8")
    text = {"crlf": text.replace("\n", "\r\n"), "no last end": text.rstrip("\n")}.get(change, text)
    for app in ("backend", "frontend"):
        image = Reference(f"ghcr.io/velro/{app}", "v42", NEW)
        after = Apps.read(text, "velro").staged(app, "blue", "green", image)
        added = [line for line in after.splitlines() if line not in text.splitlines()]
        assert added == [f"      green: # ghcr.io/velro/{app}:v42", f"        image: ghcr.io/velro/{app}@{NEW}"]
        assert after.count("\r\n") == (after.count("\n") if change == "crlf" else 0)
        assert Apps.read(after, "velro").tag(app, "green") == "v42"


SHARED = """config:
  shop:apps:
    backend: {{live: blue, kind: api, blue: {one}, green: {two}}}
"""


@pytest.mark.parametrize(
    "text",
    [
        SHARED.format(one=f"&b {{image: x@{OLD}}}", two="*b"),
        SHARED.format(one=f"&b {{image: x@{OLD}}}", two=f"{{<<: *b, image: y@{OLD}}}"),
        f"config:\n  shop:apps: &a\n    backend: {{live: blue, live: blue, blue: {{image: x@{OLD}}}}}\n  other: *a\n",
        "config: {}\n",
        "",
        "config:\n  shop:apps: {backend: {live: blue}}\n",
    ],
)
def test_a_file_that_would_have_to_be_rewritten_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="cannot be edited"):
        Apps.read(text, "shop").staged("backend", "blue", "green", IMAGE)


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\x00", "a: *b"])
def test_a_file_that_is_no_yaml_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        Apps.read(text, "shop")


def test_what_a_comment_says_beside_the_tag_stays() -> None:
    head = "config:\n  shop:apps:\n    b:\n      live: blue\n"
    text = f"{head}      blue: # acme/b:v1 (Ann's), see #7\n        image: acme/b@{OLD}\n"
    after = Apps.read(text, "shop").reimaged("b", "blue", Reference("acme/b", "v2", NEW))
    assert "      blue: # acme/b:v2 (Ann's), see #7\n" in after
    without = Apps.read(after, "shop").reimaged("b", "blue", Reference("acme/b", None, OLD))
    assert "      blue: # (Ann's), see #7\n" in without
    again = Apps.read(without, "shop").reimaged("b", "blue", Reference("acme/b", "v3", NEW))
    assert f"        image: acme/b@{NEW} # acme/b:v3\n" in again


@pytest.mark.parametrize(
    ("word", "host", "path", "tag"),
    [
        ("v42", "ghcr.io", "acme/backend", "v42"),
        ("ghcr.io/acme/web:v1.2_3-rc.1", "ghcr.io", "acme/web", "v1.2_3-rc.1"),
        ("nginx:1.27", "docker.io", "library/nginx", "1.27"),
        ("acme/web:latest", "docker.io", "acme/web", "latest"),
        ("docker.io/library/nginx:1", "docker.io", "library/nginx", "1"),
        ("localhost:5000/web:v1", "localhost:5000", "web", "v1"),
        (f"127.0.0.1:5000/a/b/web:v1@{NEW}", "127.0.0.1:5000", "a/b/web", "v1"),
        (NEW, "ghcr.io", "acme/backend", None),
        (f"acme/web@{NEW}", "docker.io", "acme/web", None),
    ],
)
def test_where_an_image_is_follows_dockers_rule(word: str, host: str, path: str, tag: str | None) -> None:
    found = reference(word, f"ghcr.io/acme/backend@{OLD}")
    assert (found.host, found.path, found.tag) == (host, path, tag)


@pytest.mark.parametrize("word", ["", ":v1", "web@", "web@sha256:12", "WEB:v1", "web:v 1", "-x:v1", "web:", "a//b:v1"])
def test_what_is_no_image_is_refused(word: str) -> None:
    with pytest.raises(Refused, match="names no image"):
        reference(word, None)
