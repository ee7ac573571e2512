"""What a figure was measured on: without it no two figures can be compared."""

import os
import platform
from datetime import UTC, datetime


def facts() -> dict[str, object]:
    """The machine as it is now; `load` is the run queue of the last minute, before anything was started."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "load": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
