"""The first user's name is theirs: what everybody uses does not know it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("room", ["bluegreen", "components", "policies", "toolchain"])
def test_no_room_that_everybody_uses_knows_the_name_of_the_first_user(room: str) -> None:
    files = [path for path in (ROOT / room).rglob("*") if path.suffix in (".py", ".yaml", ".json", ".graphql")]
    known = [path.name for path in files if "velro" in path.read_text(encoding="utf-8").lower()]
    assert (known, len(files) > 0) == ([], True)
