"""A release, top to bottom as it happens: gateway, schema, the live colours, traffic, the idle colours, clean-up."""

import json
import os
import sys
from collections.abc import Sequence

import pulumi

from bluegreen.handler import Refused
from bluegreen.postgres.files import File
from bluegreen.settings import Settings
from components.colour import Colour
from components.front import Front
from components.gateway import Gateway
from components.migrations import Migrations, wanted
from components.resources import Traffic

ALREADY_TOLD = 32  # Pulumi's exit code for: the program has said what is wrong


def declare(settings: Settings, files: Sequence[File]) -> None:
    """Every resource of the stack, in the order in which a release happens."""
    gateway = Gateway(settings)
    front = Front(settings, gateway=gateway)
    expand = Migrations("expand", settings, files, after=[])
    live = [Colour(app, colour, settings, after=[gateway, expand]) for app, colour in settings.deployed("live")]
    traffic = Traffic(
        "traffic",
        settings.traffic(),
        pulumi.ResourceOptions(depends_on=[gateway, *live], protect=settings.protect or None),
    )
    idle = [Colour(app, colour, settings, after=[traffic]) for app, colour in settings.deployed("idle")]
    Migrations("contract", settings, files, after=[traffic, *idle])
    front.keep(settings, after=[traffic])
    pulumi.export("live", traffic.live)
    pulumi.export("weights", traffic.weights)
    pulumi.export("history", traffic.history)


def main() -> None:
    config = json.loads(os.environ.get("PULUMI_CONFIG", "{}"))
    try:
        settings = Settings.parse(pulumi.get_project(), pulumi.get_stack(), config)
        settings.complete()
        files = wanted(settings)
    except Refused as refused:
        pulumi.log.error(str(refused))
        sys.exit(ALREADY_TOLD)
    for warning in settings.warnings():
        pulumi.log.warn(warning)
    declare(settings, files)


main()
