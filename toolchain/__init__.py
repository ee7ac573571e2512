"""Gets a Pulumi CLI onto a machine that may only reach package registries, and says which one the demo and the tests
use.

`python3 -m toolchain setup` makes `.venv` and finds or builds the CLI; `cli()` hands it to code. Everything here but
`hosts/` runs on the machine's own Python before anything is installed, so it uses the standard library alone. It never
touches a user's own `~/.pulumi`.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 -- an older Python gets this far, and is told so without a traceback
    here = ".".join(str(part) for part in sys.version_info[:2])
    sys.exit("This is Python " + here + ", and 3.11 or newer is needed. Nothing was changed. Run it with a newer one.")

from toolchain.installed import Cli, Missing, cli

__all__ = ["Cli", "Missing", "cli"]
