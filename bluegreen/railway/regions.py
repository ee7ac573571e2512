"""Whether the regions of a release exist, told before anything is written.

Railway refuses an unknown region only at the configuration: by then a new service is there, or a template is half
written. Asked only about regions that are news, so that an ordinary release costs no further call.
A deprecated region still runs what it is given, and a token that may not read the list leaves the word to Railway:
neither is refused here.
"""

from collections.abc import Collection

from bluegreen.handler import Refused
from bluegreen.http import RateLimited, Rejected
from bluegreen.railway.api import Railway
from bluegreen.railway.spec import ServiceSpec


async def must_exist(railway: Railway, spec: ServiceSpec, known: Collection[str]) -> None:
    """Refuse a region that Railway does not have; those in `known` are not asked about.

    Raises:
        Refused: there is no such region; nothing was changed.
    """
    new = [region for region in spec.release.replicas if region not in known]
    if not new:
        return
    try:
        regions = await railway.regions(spec.place.project_id)
    except RateLimited:
        raise
    except Rejected:
        return
    missing = [region for region in new if region not in regions]
    if not missing or not regions:
        return
    are = "is no region" if len(missing) == 1 else "are no regions"
    usable = ", ".join(sorted(name for name, replacement in regions.items() if replacement is None))
    what = f"{', '.join(missing)} {are} of Railway; it has {usable}."
    raise Refused(what, world="Nothing was changed.", next=f"Correct replicas of {spec.name}.")
