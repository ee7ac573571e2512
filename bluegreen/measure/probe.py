"""One question through the gateway's proxy: which release answers here, and is it well?

A probe takes the way that users take (proxy, router, plugins, private network); only its headers lead it to one
colour. It deliberately judges nothing: a release that answers 503 is reported as not answering, with what was seen.
"""

from collections.abc import Mapping

from bluegreen.http import Client


class Prober:
    """Asks through the proxy, with the key of the preview routes when they need one."""

    def __init__(self, proxy: Client) -> None:
        self._proxy = proxy

    async def release(self, path: str, headers: Mapping[str, str], release_header: str) -> tuple[str | None, str]:
        """The release that answered 200, empty where it names none, or None; and what was seen, as a phrase.

        Raises:
            ApiError: there was no answer at all, so nothing is known about any release.
        """
        # A new connection each time: a kept one stays on one worker, and would tell of that worker alone.
        async with self._proxy.fresh() as line:
            answer = await self._proxy.probe(path, headers=headers, client=line)
        if answer.status != 200:
            return None, f"GET {path} answered {answer.status}"
        release = answer.headers.get(release_header.lower())
        if release is None:
            return "", f"GET {path} answered 200 without the header {release_header}"
        return release, f"GET {path} was answered by release {release}"

    async def close(self) -> None:
        await self._proxy.close()
