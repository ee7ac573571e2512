"""The rule about what an update must not be able to take away: production's services and its traffic.

A protected resource is deleted only after `pulumi state unprotect`, so a block that somebody dropped from a file by
mistake stops the update. What is heard is the resource option itself, not the config key that sets it.
"""

from collections.abc import Iterator

from policies.parameters import stacks
from policies.rule import Config, Finding, Resource, broken

STACKS = stacks("The names of the stacks whose services and traffic are protected.")


def production_is_protected(resource: Resource, config: Config) -> Iterator[Finding]:
    """A service that is deleted takes its deployments along; Traffic that is deleted takes everybody's way in."""
    if resource.stack in config["stacks"] and not resource.protect:
        yield broken(
            resource,
            f"is not protected in stack {resource.stack}, so an update that no longer names it deletes it",
            "Write protect: true in the stack config.",
        )
