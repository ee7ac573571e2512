"""What an update of a service has to do, told from what is wanted and what is held. Pure: no call, no clock.

It decides whether the network is touched at all: a rollback between two colours that run must work while Railway is
down, so nothing is asked where state says that nothing is to be done.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from bluegreen.handler import Held, Refused
from bluegreen.railway.spec import STOPPED, ServiceSpec, ServiceState

TEMPLATE = "templateImage"  # an input that no program asks for: a refresh shows by it what the template names instead
Need = Literal["deployment", "stop", "resume", "configuration", "nothing"]


def need(new: ServiceSpec, old: Held[ServiceState]) -> Need:
    """The one thing to do; beside a stop or a start, what is to be written is written as well."""
    if old.state.release_id != new.release_id:
        return "deployment"
    stopped = old.state.status == STOPPED
    if new.running == stopped:
        return "resume" if stopped else "stop"
    return "configuration" if rewritten(new, old) else "nothing"


def must_run(new: ServiceSpec, old: Held[ServiceState] | None) -> None:
    """A release is proved by running: one that is to be stopped at once would be nobody's.

    Raises:
        Refused: it is to be stopped; nothing was changed.
    """
    if new.running:
        return
    how = "does not exist yet" if old is None else "is stopped" if old.state.status == STOPPED else "is to be stopped"
    what = f"{new.name} {how} and is to run {'a' if old is None else 'another'} release."
    raise Refused(what, world="Nothing was changed.", next=f"Set apps.{new.app}.idle: running to ship there.")


def must_stay(new: ServiceSpec, old: Held[ServiceState]) -> None:
    """A service keeps its name and its place: its name is the host that Kong's targets lead to.

    Raises:
        Refused: it is to have another; nothing was changed.
    """
    world = "Nothing was changed."
    if (name := str(old.inputs.get("name", new.name))) != new.name:
        what = f"The Railway service of {new.app} {new.colour} is {name}, and the config calls it {new.name}."
        next_ = (
            f"Write apps.{new.app}.{new.colour}.serviceName: {name}. Another name takes two updates while the colour is"
            " idle: one without its block, one with it anew."
        )
        raise Refused(what, world=world, next=next_)
    place = new.place.model_dump(by_alias=True)
    if (was := dict(old.inputs.get("place") or place)) != place:
        what = (
            f"{name} is in environment {was.get('environmentId')} of project {was.get('projectId')}, and the config"
            f" says environment {new.place.environment_id} of project {new.place.project_id}."
        )
        raise Refused(what, world=world, next="Correct the config's railway, or make another stack for that place.")


def rewritten(new: ServiceSpec, old: Held[ServiceState]) -> bool:
    """Whether Railway is to be told something else, without a deployment."""
    if old.state.template_image is not None:
        return True  # else the next restart by Railway would bring up something else
    before = held_spec(old.inputs)
    return before is None or _written(before) != _written(new)


def held_spec(inputs: Mapping[str, Any]) -> ServiceSpec | None:
    """Held inputs, if this version still understands them."""
    try:
        return ServiceSpec.model_validate({name: value for name, value in inputs.items() if name != TEMPLATE})
    except ValidationError:
        return None


def _written(spec: ServiceSpec) -> ServiceSpec:
    """What of a spec is written to Railway, apart from the secrets: those are in the release id."""
    release = spec.release.model_copy(update={"schema_min": None, "service_name": None})
    unsent = {"role": "idle", "secrets": {}, "max_request_seconds": 0, "rollback_seconds": 0, "running": True}
    return spec.model_copy(update={"release": release, **unsent})
