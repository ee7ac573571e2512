"""Templates of reports, made into text: HTML is escaped by the engine, Markdown by the filters that each part names.

jinja2 is imported when a report is made, so that nothing else waits for it. A name that a template does not know is a
fault, never an empty place.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bluegreen.page.markdown import careful, cell, fence, plain

if TYPE_CHECKING:
    from jinja2 import Environment

Filter = Callable[[Any], Any]


def rendered(template: Path, told: Mapping[str, Any], filters: Mapping[str, Filter]) -> str:
    """One template with what it tells, and with these filters of its own beside those for Markdown."""
    environment = _environment(template.parent)
    environment.filters |= filters
    return environment.get_template(template.name).render(told).rstrip() + "\n"


@cache
def _environment(folder: Path) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=lambda name: name is not None and ".html." in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": cell, "plain": plain, "fence": fence, "careful": careful}
    return environment
