"""How the Railway stand-in is started: its command line, and what of it says how strict the platform is.

The facts are silent on much that a live platform may do; each such thing is an option, off unless users met it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sandbox import lifecycle, registry
from sandbox.railway_call import Options
from sandbox.railway_images import Images


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; ends with 2 on those that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.railway", description="Railway on a laptop.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--supervisor", required=True, metavar="URL", help="where sandbox.supervisor listens")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where the store is kept")
    parser.add_argument("--token", required=True, help="the project token")
    parser.add_argument("--workspace-token", help="also let this bearer token in")
    parser.add_argument("--project", required=True, metavar="ID")
    parser.add_argument("--environment", required=True, metavar="ID")
    parser.add_argument("--time-scale", type=float, default=1.0, help="real seconds of a platform second (default 1)")
    parser.add_argument("--rate-limit", type=int, default=10_000, help="requests per hour (default 10000)")
    _add_images(parser)
    _add_strictness(parser)
    lifecycle.add_parent_option(parser)
    asked = parser.parse_args(arguments)
    if asked.time_scale <= 0:
        parser.error(f"--time-scale is {asked.time_scale:g}; a platform second has to take some time, such as 0.1.")
    return asked


def _add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mirror", metavar="REGISTRY", help="also serve this registry's images, as the sandbox's good ones"
    )
    parser.add_argument(
        "--built",
        action="append",
        default=[],
        metavar="REPO=IMAGE",
        help="a repository that services can be built from, and the sandbox's image that a build gives",
    )


def _add_strictness(parser: argparse.ArgumentParser) -> None:
    seconds = parser.add_argument_group("waits, in platform seconds")
    seconds.add_argument("--read-lag", type=float, default=0.0, help="until a new service can be read")
    seconds.add_argument("--instance-lag", type=float, default=0.0, help="until its instance can be read and changed")
    seconds.add_argument("--endpoint-lag", type=float, default=1.0, help="until its private endpoint is ACTIVE")
    seconds.add_argument("--busy", type=float, default=0.0, help="after a change, in which another one is refused")
    other = parser.add_argument_group("other manners")
    other.add_argument("--no-reset-rule", action="store_true", help="an update keeps what it omits")
    other.add_argument("--refuse-early-healthcheck", action="store_true", help="no health-check path before a deploy")
    other.add_argument(
        "--dark-first-deploy", action="store_true", help="a service's first deployment has no private name that answers"
    )
    other.add_argument(
        "--own-variables", action="store_true", help="the platform's own variables are read even unrendered"
    )


def options_of(asked: argparse.Namespace) -> Options:
    """How strict the stand-in is to be."""
    return Options(
        reset=not asked.no_reset_rule,
        read_lag=asked.read_lag,
        early_healthcheck=not asked.refuse_early_healthcheck,
        instance_lag=asked.instance_lag,
        endpoint=asked.endpoint_lag,
        busy=asked.busy,
        dark_first=asked.dark_first_deploy,
        own_variables=asked.own_variables,
    )


def images_of(asked: argparse.Namespace) -> Images:
    """What can be pulled and built.

    Raises:
        lifecycle.Unfit: a repository stands for no image.
    """
    pairs = [each.partition("=") for each in asked.built]
    for repository, equals, image in pairs:
        if not (repository and equals and image):
            raise lifecycle.Unfit(
                f"--built {repository}{equals}{image} names no image. Write REPO=IMAGE, such as "
                "acme/web=registry.sandbox/backend:v1."
            )
    try:
        return Images(asked.mirror, {repository: image for repository, _, image in pairs})
    except registry.UnknownImage as error:
        raise lifecycle.Unfit(f"--built names an image that does not exist: {error}") from error
