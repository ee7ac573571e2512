"""A sandbox that has what a stack's file says, for a plan of a change to that file: `NAME BEFORE AFTER`.

What comes from a fork sees no secret and no real stack, so its change is planned against stand-ins on the runner: the
stack of BEFORE is brought up there, and AFTER takes its place with the stand-ins' secrets. What a job needs to ask them
is printed as lines for GITHUB_ENV. The world stays when this ends; it goes with the runner.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import toolchain
from sandbox.stack import Stack
from sandbox.world import MEMBERS, World, free_base

KEYS = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_DEBUG_COMMANDS")
MODELS_KEY = "sandbox-backend-key"  # of the consumer `backend`, where a file declares one


def main(name: str, before: Path, after: Path) -> int:
    """Bring BEFORE up, and leave AFTER to be planned."""
    config = _config(before)
    place = config["velro:railway"]
    world = World(
        free_base(),
        ROOT / ".sandbox",
        MEMBERS,
        mirror="ghcr.io/velro",
        private_network=True,
        project_id=place["projectId"],
        environment_id=place["environmentId"],
        extra={"railway": ("--time-scale", "0.02")},
        detached=True,
    )
    world.open()
    stack = Stack(world, toolchain.cli(), name=name)
    stack.config = config
    stack.create()
    if "backend" in config["velro:gateway"].get("consumers", {}):
        given = ("--path", "--secret", f"velro:secrets.consumers.backend={MODELS_KEY}")
        told = stack.run("config", "set-all", *given)
        assert told.code == 0, told.output
        stack.reload()
    elsewhere = {
        "BLUEGREEN_KONG_ADMIN_URL": world.admin,
        "BLUEGREEN_KONG_PROXY_URL": world.proxy,
        "BLUEGREEN_RAILWAY_URL": world.railway_url,
        "BLUEGREEN_RAILWAY_POLL_SECONDS": "0.2",
    }
    up = stack.run("up", "--yes", "--skip-preview", **elsewhere)
    print(up.output, file=sys.stderr)
    if up.code:
        return up.code
    secrets = stack.config["velro:secrets"]
    stack.config = _config(after) | {"velro:secrets": secrets}
    stack.write()
    own = {key: value for key, value in stack.environment().items() if key in KEYS or key.startswith("BLUEGREEN_")}
    for key, value in {**own, **elsewhere}.items():
        print(f"{key}={value}")
    return 0


def _config(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["config"]
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
