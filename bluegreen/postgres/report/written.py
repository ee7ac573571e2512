"""The report's files: `plan.json` for programs, `plan.md` for a pull request, `plan.html` for a browser, the script.

The folder holds one migration's newest report, and every reverse script that was ever different. Each file is replaced
in one step, so a reader never meets half of one. What must be secret is not in a plan; whoever knows a secret may name
it all the same, and it is taken out of every file, in every spelling.
"""

import base64
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import ValidationError

from bluegreen.handler import Refused
from bluegreen.postgres.plan import FORM, Plan
from bluegreen.postgres.report.way_back import reverse_script, script_name
from bluegreen.postgres.reverse_file import body

JSON, MARKDOWN, HTML = "plan.json", "plan.md", "plan.html"
HIDDEN = "[secret]"
OURS, OPEN = 0o600, 0o700  # of files, of folders


def write(plan: Plan, folder: Path, *, secrets: Iterable[str] = ()) -> tuple[Path, ...]:
    """Write all of it; the files, the reverse script last where there is one."""
    from bluegreen.postgres.report.rendered import html, markdown

    spelled = [spelling for secret in secrets if secret for spelling in _spellings(secret)]
    shown = Plan.model_validate(_without(plan.model_dump(mode="json", by_alias=True), spelled)) if spelled else plan
    _made(folder)
    script = _script(shown, folder)
    at = str(script) if script else ""
    texts = {
        JSON: shown.model_dump_json(by_alias=True, indent=2) + "\n",
        MARKDOWN: markdown(shown, at),
        HTML: html(shown, at),
    }
    paths = tuple(_replaced(folder / name, text) for name, text in texts.items())
    return (*paths, script) if script else paths


def read(folder: Path) -> Plan | None:
    """The plan that was written there; None where there is none, or none that can be read."""
    try:
        return Plan.model_validate_json((folder / JSON).read_bytes())
    except (OSError, ValidationError):
        return None


def plan_in(path: Path) -> Plan:
    """The plan in a file, or in a report's folder.

    Raises:
        Refused: there is none, or it is of another form.
    """
    file = path / JSON if path.is_dir() else path
    what = ""
    try:
        plan = Plan.model_validate_json(file.read_bytes())
    except OSError as error:
        what = f"{file} cannot be read: {error.strerror}."
    except ValidationError:
        what = f"{file} is no plan of a migration."
    else:
        if plan.form == FORM and plan.version:
            return plan
        what = f"{file} was written by another version of this program." if plan.version else f"{file} is no plan."
    raise Refused(what, world="Nothing was changed.", next="Make one: bluegreen migrate dry-run writes plan.json.")


def _script(plan: Plan, folder: Path) -> Path | None:
    """The reverse script; one that is there already with the same statements stays the one."""
    if plan.reverse is None or not plan.reverse.script:
        return None
    text = reverse_script(plan)
    for old in sorted(folder.glob(f"rollback_{plan.label}_*.sql")):
        if body(old.read_text(encoding="utf-8")) == body(text):
            return _replaced(old, text)
    return _replaced(folder / script_name(plan), text)


def _made(folder: Path) -> None:
    """The folder and whatever is missing above it, their owner's alone as everything in them is."""
    for each in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        each.mkdir(mode=OPEN, exist_ok=True)


def _replaced(path: Path, text: str) -> Path:
    handle, fresh = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(fresh).chmod(OURS)  # bodies of functions may hold more than they should
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
    return path


def _spellings(secret: str) -> Iterable[str]:
    return (secret, quote(secret, safe=""), quote_plus(secret), base64.b64encode(secret.encode()).decode())


def _without(value: Any, spelled: Iterable[str]) -> Any:
    """The same with every secret in it replaced; keys as well, for names of objects are keys."""
    if isinstance(value, str):
        for text in spelled:
            value = value.replace(text, HIDDEN)
        return value
    if isinstance(value, dict):
        return {_without(key, spelled): _without(each, spelled) for key, each in value.items()}
    return [_without(each, spelled) for each in value] if isinstance(value, list) else value
