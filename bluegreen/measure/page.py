"""What a page needs to be more than a page: the scripts, stylesheets and images that its HTML names.

A release whose page comes from one colour and whose script comes from another is broken though every page answers 200,
so the names are read off the very page that was answered. It deliberately runs no script and reads no stylesheet: what
those load in turn is not seen. What lies on another host is somebody else's release.
"""

from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

LINKED = {"stylesheet", "modulepreload", "icon", "apple-touch-icon"}
PRELOADED = {"script", "style", "image"}


def assets(html: str, *, host: str, path: str) -> list[str]:
    """The paths of every asset on this host, as the page at `path` names them, each once and in its order."""
    page = _Page()
    page.feed(html)
    page.close()
    here = f"https://{host}{path}"
    base = urljoin(here, page.base) if page.base else here
    return list(dict.fromkeys(found for name in page.named if (found := _path(base, name, host))))


class _Page(HTMLParser):
    """Collects what a browser would load, while the HTML goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.named: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        if tag == "base" and not self.base:
            self.base = given.get("href", "")
        self.named += _named(tag, given)


def _named(tag: str, given: Mapping[str, str]) -> Iterator[str]:
    if tag in ("script", "img") and "src" in given:
        yield given["src"]
    if tag in ("img", "source"):
        yield from (part.split()[0] for part in given.get("srcset", "").split(", ") if part.split())
    if tag == "link" and "href" in given:
        kinds = set(given.get("rel", "").lower().split())
        if kinds & LINKED or ("preload" in kinds and given.get("as", "").lower() in PRELOADED):
            yield given["href"]


def _path(base: str, name: str, host: str) -> str:
    try:
        found = urlsplit(urljoin(base, name.strip()))
    except ValueError:  # not an address at all; a browser loads nothing there either
        return ""
    if found.scheme not in ("http", "https") or found.netloc.lower() != host.lower():
        return ""
    return (found.path or "/") + (f"?{found.query}" if found.query else "")
