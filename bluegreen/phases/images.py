"""Which image is meant for which app: one word for the phase's own app, or `app=image` for each."""

from collections.abc import Sequence

from bluegreen.handler import Refused


def images(words: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The image that names no app, and those that do; words may be separated by commas and blanks, too.

    Raises:
        Refused: an app or the one without an app is named twice.
    """
    alone, named = "", dict[str, str]()
    for word in (part for each in words for part in each.replace(",", " ").split()):
        app, sign, image = word.partition("=")
        if (sign and app in named) or (not sign and alone):
            what = f"Two images are given{f' for {app}' if sign else ' that name no app'}."
            raise Refused(what, world="Nothing was changed.", next="Give one: --image app=repository:tag.")
        if sign:
            named[app] = image
        else:
            alone = word
    return alone, named


def image_of(words: Sequence[str], app: str, *, alone: bool) -> str:
    """The image for this app.

    Args:
        alone: the phase is about this app only, so an image without an app's name is meant for it.

    Raises:
        Refused: none is given.
    """
    single, named = images(words)
    found = named.get(app) or (single if alone else "")
    if not found:
        raise Refused(
            f"No image is named for {app}.",
            world="Nothing was changed.",
            next=f"Name it: --image TAG, or --image {app}=repository:TAG.",
        )
    return found
