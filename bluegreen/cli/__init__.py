"""What people and pipelines run: `bluegreen VERB`, one module per family of verbs."""

import sys
from types import TracebackType


def _stopped(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("Stopped before it began. Nothing was changed.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, fault, trace)


if sys.argv[:1] == ["-m"]:  # so it is while `python -m` imports this package: a ^C may come before any verb is there
    sys.excepthook = _stopped
