"""How a deployment that came to no good end is told: what is wrong, and the next step.

The state of the world in between is not here: it depends on what serves now, which `deploy.py` asks.
"""

from collections.abc import Mapping

from bluegreen.railway.watch import How

# Ends after which the configuration is left as it is: it may be another actor's, or the deployment still goes on.
LEAVES_TEMPLATE: frozenset[How] = frozenset({"superseded", "approval", "orphaned"})

FIX = "Fix the image or its configuration, then run pulumi up again."

SENTENCES: Mapping[How, tuple[str, str]] = {
    "failed": ("{name} did not come up: deployment {id} FAILED{where}.", FIX),
    "crashed": ("{name} came up and crashed: deployment {id} is CRASHED{where}.", FIX),
    "exited": (
        "{name} does not stay up: every process of deployment {id} has ended.",
        "Make the image's command run a server in the foreground, then run pulumi up again.",
    ),
    "sleeping": (
        "{name} sleeps instead of serving: deployment {id} is SLEEPING.",
        "Turn serverless off in Railway, then run pulumi up again.",
    ),
    "skipped": (
        "{name} was not deployed: Railway SKIPPED deployment {id}, seeing nothing to deploy.",
        "Look at the service's source in Railway, then run pulumi up again.",
    ),
    "superseded": (
        "{name}: deployment {id} is {status} before it was proven; somebody else deployed this service.",
        "Find out who (Railway's activity shows it), then run pulumi up again.",
    ),
    "approval": (
        "{name}: deployment {id} waits for an approval in Railway.",
        "Approve it in Railway, then run pulumi up again: it is taken up where it stands.",
    ),
    "stuck": (
        "{name} was not deployed: deployment {id} stayed INITIALIZING, and so did the one before it.",
        "Look at status.railway.com, then run pulumi up again.",
    ),
    "overdue": (
        "{name} did not come up in time: deployment {id} is still {status} after {seconds} s.",
        "Look at what it waits for, raise healthcheckTimeoutSeconds if it needs longer, then run pulumi up again.",
    ),
    "orphaned": (
        "{name}: nobody watches deployment {id} any more, which is {status}: whoever started it is gone.",
        "Run pulumi up again: it is taken up where it stands.",
    ),
    "cancelled": ("{name}: the deployment {id} was cancelled on request while {status}.", "Run pulumi up again."),
}
