"""The platform's way to its machines: a client of the supervisor's control interface.

Deliberately not here: decisions. A supervisor that cannot be reached is `Down`, which callers answer with a 5xx.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

HEALTH_HOST = "healthcheck.railway.app"
ATTEMPT = 5.0  # seconds that one health check may take
CALL = 15.0
LOOK = 10.0  # seconds that the supervisor waits at most for one question
PATIENCE = 5.0  # seconds beyond draining until a process counts as gone


class Down(Exception):
    """The supervisor cannot be reached."""


class Impossible(Exception):
    """The supervisor refused; the text is its reason."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A process as the supervisor describes it."""

    id: str
    state: str
    exit_code: int | None
    health_port: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a process wrote."""

    time: str
    text: str


class Machines:
    """Starts, activates and ends processes through the supervisor."""

    def __init__(self, supervisor: str) -> None:
        self._base = supervisor.rstrip("/")
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL))

    async def close(self) -> None:
        await self._session.close()

    async def reachable(self) -> None:
        """Return, or raise Down."""
        await self._call("GET", "/health")

    async def start(self, name: str, group: str, port: int | None, env: Mapping[str, str]) -> Machine:
        body = {"group": group, "port": port, "env": dict(env)}
        return _machine(await self._call("PUT", f"/processes/{name}", json=body))

    async def activate(self, name: str) -> None:
        await self._call("POST", f"/processes/{name}/activate")

    async def stop(self, name: str, draining: float) -> None:
        """Begin to end a process; one that is not there is as good as ended."""
        try:
            await self._call("POST", f"/processes/{name}/stop", json={"drainingSeconds": draining})
        except Impossible:
            return

    async def end(self, names: list[str], draining: float) -> None:
        """Stop these processes and return when they have ended."""
        for name in names:
            await self.stop(name, draining)
        for name in names:
            await self._ended(name, draining + PATIENCE)

    async def _ended(self, name: str, within: float) -> None:
        waited = 0.0
        while waited < within:
            try:
                if (await self.wait(name, "exited", LOOK)).state == "exited":
                    return
            except Impossible:
                return
            waited += LOOK

    async def forget(self, name: str) -> None:
        try:
            await self._call("DELETE", f"/processes/{name}")
        except Impossible:
            return

    async def all(self) -> dict[str, Machine]:
        return {one["id"]: _machine(one) for one in await self._call("GET", "/processes")}

    async def wait(self, name: str, until: str, seconds: float) -> Machine:
        """The process once it has come so far, or has ended, or this many seconds have passed."""
        parameters = {"until": until, "seconds": str(min(seconds, LOOK))}
        return _machine(await self._call("GET", f"/processes/{name}", params=parameters))

    async def logs(self, name: str, lines: int) -> list[LogLine]:
        try:
            answer = await self._call("GET", f"/processes/{name}/logs", params={"lines": str(lines)})
        except Impossible:
            return []
        return [LogLine(line["time"], line["text"]) for line in answer["lines"]]

    async def check(self, machine: Machine, path: str) -> int | None:
        """The status of one health check as the platform makes it, or None when there was no answer."""
        url = f"http://127.0.0.1:{machine.health_port}{path}"
        timeout = aiohttp.ClientTimeout(total=ATTEMPT)
        headers = {"Host": HEALTH_HOST, "Connection": "close"}
        try:
            async with self._session.get(url, headers=headers, timeout=timeout, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def _call(self, method: str, path: str, **keywords: Any) -> Any:
        try:
            async with self._session.request(method, self._base + path, **keywords) as answer:
                body = None if answer.status == 204 else await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Down(f"{self._base} does not answer: {error}") from error
        if answer.status >= 400:
            raise Impossible(body["message"] if isinstance(body, dict) else f"{method} {path}: {answer.status}")
        return body


def _machine(wire: Mapping[str, Any]) -> Machine:
    return Machine(wire["id"], wire["state"], wire["exitCode"], wire["healthPort"])
