"""One further edit of a stack's file: the newest migration as the schema that is wanted, and nothing else touched."""

import yaml

from bluegreen.handler import Refused
from bluegreen.staging.layout import Layout, put, sliced


def retargeted(text: str, project: str, version: str) -> str:
    """The file with this version as `migrations.target`.

    Raises:
        Refused: it is written in a way that cannot be edited without rewriting more than that.
    """
    layout, keys = Layout(text), (f"{project}:migrations", "migrations")
    config = layout.entry(layout.root, "config")
    wanted = layout.entry(config.value, *keys) if config else None
    target = layout.entry(wanted.value, "target") if wanted else None
    if target is None or not isinstance(target.value, yaml.ScalarNode):
        raise _elsewhere(version)
    after = sliced(text, [put(target.value, version)])
    old, new = yaml.safe_load(text)["config"], yaml.safe_load(after)["config"]
    key = next((each for each in keys if each in old), keys[0])
    if new != {**old, key: {**old[key], "target": version}}:
        raise _elsewhere(version)
    return after


def _elsewhere(version: str) -> Refused:
    return Refused(
        "migrations.target is written in a way that cannot be edited without rewriting more than was asked for.",
        world="Nothing was changed.",
        next=f'Write it as target: "{version}" by hand, in quotes.',
    )
