"""A pipe that a process under test holds open: its first byte proves that the process runs, its end that it is gone."""

import asyncio
import os
from pathlib import Path


class HeldPipe:
    """Waits on a named pipe in the event loop, so that a test's own time limit bounds every wait."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "held"
        os.mkfifo(self.path)
        self._end = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    async def next(self) -> bytes:
        """What was written since the last time; nothing once the last holder is gone."""
        arrived = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._end, arrived.set)
        await arrived.wait()
        asyncio.get_running_loop().remove_reader(self._end)
        return os.read(self._end, 1000)

    def gone(self) -> bool:
        """Whether nobody holds it any more, without waiting."""
        try:
            return os.read(self._end, 1000) == b""
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._end)
