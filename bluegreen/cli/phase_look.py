"""`validation`: everything that can be asked before a release, all of it, whatever the first answer is.

It deliberately changes nothing: no file, no branch, no database, no traffic.
"""

import asyncio

from bluegreen.cli.migrate_look import tried
from bluegreen.cli.phase_schema import newest
from bluegreen.cli.phase_work import Work
from bluegreen.cli.stage import stage
from bluegreen.cli.validate import validate
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.phases.images import images


async def validation(work: Work) -> Outcome:
    """Every check, each pending migration on a copy, every named image, and the plan of what is committed."""
    desk = await work.opened()
    await asyncio.to_thread(work.folder.mkdir, parents=True, exist_ok=True)
    asked = [await work.did("validate", validate(desk, markdown=work.folder / "validation.md"))]
    if (wanted := desk.settings.migrations) is not None:
        all_of_it = wanted.model_copy(update={"target": newest(wanted)})
        asked.append(await work.did("migrate dry-run", tried(desk, all_of_it, None)))
    single, named = images(work.wish.images)
    if single and len(desk.settings.apps) == 1:
        named = {desk.settings.order()[0]: single, **named}
    for app, image in named.items():
        keep, overwrite = work.wish.keep, work.wish.overwrite
        trying = stage(desk, app, image, keep=keep, overwrite=overwrite, dry_run=True)
        asked.append(await work.did(f"stage {app}", trying))
    asked.append(await work.planned())
    against = [each for each in asked if each.exit]
    if not against:
        return work.ended(Exit.OK, f"Nothing speaks against a release of {work.stack.name}.", "Nothing was changed.")
    rest = f" And {len(against) - 1} more: {' '.join(each.what for each in against[1:])}" if against[1:] else ""
    return work.ended(against[0].exit, f"{against[0].what}{rest}", "Nothing was changed.", against[0].next)
