"""Outcomes that can be arranged for the next deployments, over HTTP.

What an image does needs no script (see `sandbox.registry`); these are the ways in which the platform itself surprises:

`PUT /__scripts` `[{"service": "backend-green", "outcome": "stuck", "times": 1}]` replaces the list · `GET` shows what
is left · `DELETE` clears. `service` is a shell pattern over service names; the first script that fits is used up.

* `stuck` stays INITIALIZING · `queued`, `waiting`: that status for `seconds` (default 600 platform seconds)
* `needs-approval` waits for deploymentApprove · `skipped` ends SKIPPED · `superseded` is REMOVED while DEPLOYING
* `unknown-status` shows a status that no enum knows for `seconds`, then goes on
* `wrong-image` runs and reports `image`, or without one the image of the deployment before, and succeeds
* `pull-failure`, `pre-deploy-failure`, `healthcheck-timeout` end FAILED at that step
* `slow-healthcheck`: no answer of the health check counts for `seconds` (default 30), then it goes on
* `foreign-redeploy` succeeds and is replaced by the platform with a copy after `seconds` (default 5)
* `crash-after-success` succeeds, and after `seconds` (default 5) every replica has crashed for good: CRASHED
* `crash-partial`: the same for the last replica alone; CRASHED while the others run on
* `exit-zero`: the same with exit code 0; stays SUCCESS, stopped, its replicas EXITED
* `sleeping`: the same as serverless sleep; SLEEPING, stopped
* with `seconds` 0 these four come in the same moment as SUCCESS, so that no poll sees them running
* `absent-instance` is used up by serviceCreate instead: the service exists, its instance in the environment does not

Deliberately not here: refusals and broken answers of the API; those are faults (`sandbox.faults`).
"""

from fnmatch import fnmatchcase
from typing import Literal

from aiohttp import web
from pydantic import Field, TypeAdapter, ValidationError

from sandbox.faults import Strict
from sandbox.railway_store import Script

PATH = "/__scripts"
Outcome = Literal[
    "stuck",
    "queued",
    "waiting",
    "needs-approval",
    "skipped",
    "superseded",
    "unknown-status",
    "wrong-image",
    "pull-failure",
    "pre-deploy-failure",
    "healthcheck-timeout",
    "slow-healthcheck",
    "foreign-redeploy",
    "crash-after-success",
    "crash-partial",
    "exit-zero",
    "sleeping",
    "absent-instance",
]


class Arranged(Strict):
    """An outcome and the services it is meant for."""

    service: str = "*"
    outcome: Outcome
    seconds: float | None = Field(default=None, ge=0)
    image: str | None = None
    times: int = Field(default=1, ge=1)


LIST = TypeAdapter(list[Arranged])


class Scripts:
    """The arranged outcomes that are still to come."""

    def __init__(self) -> None:
        self._left: list[Arranged] = []

    def arrange(self, scripts: list[Arranged]) -> None:
        self._left = list(scripts)

    def take(self, service: str, *, creation: bool = False) -> Script | None:
        """The outcome for this service's next deployment (or creation), which is used up by asking."""
        for index, script in enumerate(self._left):
            if (script.outcome == "absent-instance") is creation and fnmatchcase(service, script.service):
                rest = [script.model_copy(update={"times": script.times - 1})] if script.times > 1 else []
                self._left[index : index + 1] = rest
                return Script(outcome=script.outcome, seconds=script.seconds, image=script.image)
        return None

    def routes(self) -> list[web.RouteDef]:
        return [web.put(PATH, self._put), web.get(PATH, self._get), web.delete(PATH, self._delete)]

    async def _put(self, request: web.Request) -> web.Response:
        try:
            self.arrange(LIST.validate_json(await request.read()))
        except ValidationError as error:
            return web.Response(status=400, text=error.json(include_url=False), content_type="application/json")
        return await self._get(request)

    async def _get(self, _: web.Request) -> web.Response:
        return web.json_response([script.model_dump(mode="json") for script in self._left])

    async def _delete(self, _: web.Request) -> web.Response:
        self.arrange([])
        return web.Response(status=204)
