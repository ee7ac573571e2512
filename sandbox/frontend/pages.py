"""What the demo frontend answers: its page on every path, and hashed files under /assets/.

The page tells its script where the API is and which key to show to the gateway (PUBLIC_API_URL, PUBLIC_API_KEY); both
are public. It runs nothing but its own script and the few lines that notice a file gone, and says so to the browser.

Deliberately not here: the API. `/api/…` is the backend's, behind the same gateway; asked here, it is a 404 that says
so.
"""

import base64
import hashlib
import html
import json
import re
from string import Template

from aiohttp import web

from sandbox.app_pages import Pages, Refusal
from sandbox.app_setup import Setup
from sandbox.frontend.assets import HERE, bundle, served

FOREVER = "public, max-age=31536000, immutable"
INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class Frontend(Pages):
    """The page of one release, with its files and those of the releases before."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._assets = served(setup.version)
        self._page = _page(setup)
        self._policy = _policy(self._page, setup.api_url)

    async def page(self, request: web.Request) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            raise Refusal(405, f"{request.method} is not for this path; it has GET.", Allow="GET, HEAD")
        if asset := self._assets.get(request.path):
            return self.text(asset.text, asset.kind, cache=FOREVER)
        if request.path.startswith("/assets/"):
            raise Refusal(404, "No such asset in this release.")
        if request.path.startswith("/api/"):
            raise Refusal(404, "The API is not here: PUBLIC_API_URL says where it is.")
        response = self.text(self._page, "text/html")
        response.headers["Content-Security-Policy"] = self._policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _page(setup: Setup) -> str:
    files = bundle(setup.version)
    told = {"apiUrl": setup.api_url, "apiKey": setup.api_key, "release": setup.release, "colour": setup.colour}
    # Inside a script element only `<` can end it; as an escape it is the same JSON.
    config = json.dumps(told).replace("<", "\\u003c")
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        config=config,
        script=f"/assets/{files.script.name}",
        style=f"/assets/{files.style.name}",
        release=html.escape(setup.release),
        colour=html.escape(setup.colour),
        version=setup.version,
    )


def _policy(page: str, api_url: str) -> str:
    inline = INLINE.search(page)
    assert inline is not None
    digest = base64.b64encode(hashlib.sha256(inline[1].encode()).digest()).decode()
    connect = " ".join(["'self'", *re.findall(r"^https?://[A-Za-z0-9.:\[\]-]+", api_url)])
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; connect-src {connect}; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
