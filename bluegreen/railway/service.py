"""The resource `bluegreen:railway:Service`: one colour of one app, brought to one release and kept there.

Nothing that is unchanged touches the network, so that a rollback works while Railway is down: whether a deployment is
needed follows from the release id that state holds, which is there only when that release was proven to run.
A colour that really carries traffic is never redeployed in place (`guard.py`); a preview judges the world as it will be
after the resources before it, where the idle colour carries nothing. Nor is a service ever replaced by another: Kong's
targets and the rollback window know it by its name.
It deliberately knows no gateway: what is asked of one is given from outside.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import ClassVar, cast

from bluegreen.handler import Cancelled, Context, Halt, Handler, Held, Partial, Refused
from bluegreen.http import ApiError, NotFound, Unauthorized
from bluegreen.railway.aftermath import NotDeployed
from bluegreen.railway.api import Railway
from bluegreen.railway.claim import claim, right_place
from bluegreen.railway.deploy import Deploy
from bluegreen.railway.guard import Colours, Guard
from bluegreen.railway.idle import resume, stop
from bluegreen.railway.need import held_spec, must_run, must_stay, need, rewritten
from bluegreen.railway.patience import Patience
from bluegreen.railway.proof import Answers
from bluegreen.railway.reading import gone, imported, place_of, refreshed
from bluegreen.railway.regions import must_exist
from bluegreen.railway.spec import STOPPED, Place, ServiceSpec, ServiceState, private_domain
from bluegreen.railway.subject import whole
from bluegreen.railway.template import Template
from bluegreen.spec import COLOURS, Colour, Spec, State

Late = Callable[[str, float], Awaitable[Sequence[str]]]
DELETE_WITHIN = 120  # seconds
ANSWERS_WITHIN = 60  # seconds: whatever is only looked at, before anything is written


class ServiceHandler(Handler[ServiceSpec, ServiceState]):
    """Creates, updates, reads and deletes one colour's service.

    Args:
        colours: what the gateway says of this colour of this app.
        answers: which release answers on the way that users take; None where nobody can ask.
        late: why requests may still go to where a deployment of this service was, by its name and its overlap.
        teardown: lifts the guard of `delete`, for taking a whole stack down.
        poll: seconds between the first two looks at a deployment; every other wait grows from it.
    """

    spec: ClassVar[type[Spec]] = ServiceSpec
    state: ClassVar[type[State]] = ServiceState
    quiet: ClassVar[frozenset[str]] = frozenset(
        {"role", "release.schemaMin", "release.serviceName", "maxRequestSeconds", "rollbackSeconds"}
    )

    def __init__(
        self,
        railway: Railway,
        colours: Colours,
        *,
        answers: Answers | None = None,
        late: Late | None = None,
        teardown: bool = False,
        poll: float = 2.0,
    ) -> None:
        self._railway = railway
        self._colours = colours
        self._answers = answers
        self._late = late
        self._teardown = teardown
        self._poll = poll
        self._right: set[tuple[str, str]] = set()

    async def preview(self, ctx: Context, new: ServiceSpec, old: Held[ServiceState] | None) -> ServiceState:
        """A field that is None is not known before the update."""
        if old is not None:
            must_stay(new, old)
            what = need(new, old)
            proven = old.state.model_copy(update={"template_image": None})
            if what in ("nothing", "configuration"):
                return proven
            if what == "resume":
                return proven.model_copy(update={"status": "SUCCESS", "stopped_at": None, "kept_until": None})
            if what == "stop":
                await self._guard(ctx).may_stop(new)
                return proven.model_copy(update={"status": STOPPED})
        must_run(new, old)
        if old is None or new.role == "live":
            await self._right_place(ctx, new.place)
        if old is not None and new.role == "live":
            await self._guard(ctx).may_deploy(new)
        await self._regions(ctx, new, old)
        return ServiceState(
            service_id=old.state.service_id if old is not None else None,
            release_id=new.release_id,
            image=new.release.image,
            private_domain=private_domain(new.name),
            status="SUCCESS",
        )

    async def create(self, ctx: Context, new: ServiceSpec) -> Held[ServiceState]:
        async with self._railway.budget.told(new.name, ctx.milestone):
            return await self._create(ctx, new)

    async def update(self, ctx: Context, new: ServiceSpec, old: Held[ServiceState]) -> ServiceState:
        async with self._railway.budget.told(new.name, ctx.milestone):
            # Whatever went well has written the configuration, so that a restart by Railway brings up the same.
            return (await self._update(ctx, new, old)).model_copy(update={"template_image": None})

    async def _create(self, ctx: Context, new: ServiceSpec) -> Held[ServiceState]:
        must_run(new, None)
        await self._right_place(ctx, new.place)
        id, existed = await claim(self._railway, new, self._patience(ctx, new))
        if existed:
            await ctx.milestone(f"{new.name}: service {id} is ours already and is taken over")
        begun = ServiceState(service_id=id, private_domain=private_domain(new.name))
        held = Held(id, new.model_dump(), begun)

        if existed:
            await self._warned(ctx, new)
        world = f"Service {new.name} exists; nothing was deployed."
        try:
            state = await self._deploy(ctx, new, held, before=None, replaces=existed)
        except Refused as refused:
            if existed:
                raise  # nothing was changed: the service stays as it was, and the next create finds it again
            kind = Cancelled if ctx.cancelled else Partial
            raise kind(refused.what, held=held, world=world, next=refused.next) from refused
        except ApiError as problem:
            raise Partial(problem.what, held=held, world=world, next=problem.next) from problem
        return Held(id, held.inputs, state)

    async def _update(self, ctx: Context, new: ServiceSpec, old: Held[ServiceState]) -> ServiceState:
        must_stay(new, old)
        what = need(new, old)
        if what == "nothing":
            return old.state
        if what == "deployment":
            must_run(new, old)
        await self._right_place(ctx, new.place)
        if what == "stop":
            return await self._stop(ctx, new, old)
        if what != "deployment":
            await self._rewrite(ctx, new, old)
        if what == "configuration":
            return old.state
        if what == "resume" and (resumed := await self._resume(ctx, new, old)) is not None:
            return resumed
        before = held_spec(old.inputs)
        proven = before is not None and before.release_id == old.state.release_id
        await self._warned(ctx, new)

        return await self._deploy(ctx, new, old, before=before if proven else None, replaces=True)

    async def read(self, ctx: Context, id: str, old: Held[ServiceState] | None) -> Held[ServiceState] | None:
        if old is None:
            return await imported(self._railway, id)
        return await refreshed(self._railway, id, old, ctx.milestone)

    async def delete(self, ctx: Context, old: Held[ServiceState]) -> None:
        app, colour = str(old.inputs.get("app")), cast(Colour, old.inputs.get("colour"))
        name = str(old.inputs.get("name", old.id))
        place, guard = place_of(old.id, old.inputs), self._guard(ctx)
        guarded = not self._teardown and colour in COLOURS
        if guarded:
            await guard.may_delete(name, app, colour)
        await self._right_place(ctx, place)
        if guarded:
            otherwise = f"{name} was not deleted, because the update was stopped."
            await guard.drained(app, colour, int(old.inputs.get("maxRequestSeconds") or 0), otherwise=otherwise)
        until = ctx.now() + timedelta(seconds=DELETE_WITHIN)
        patience = Patience(ctx, min(until, ctx.deadline or until), self._poll)

        async def delete() -> None:
            if guarded:
                await guard.may_delete(name, app, colour)
            try:
                await self._railway.service_delete(place, old.id)
            except NotFound:
                return
            except Unauthorized:
                if not await deleted():
                    raise

        async def deleted() -> bool:
            return await patience.while_away(lambda: gone(self._railway, place, old.id))

        await patience.settled(delete, deleted)

    # ── pieces ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _deploy(
        self,
        ctx: Context,
        new: ServiceSpec,
        held: Held[ServiceState],
        *,
        before: ServiceSpec | None,
        replaces: bool,
    ) -> ServiceState:
        replaced, runs = False, held.state.release_id

        async def allowed() -> None:
            nonlocal replaced
            if replaces:
                await self._make_way(ctx, new)
                # From here on nobody goes back by hand to what is being replaced; whoever did so a moment ago is met.
                replaced = await self._colours.replacing(new.app, new.colour) or replaced
                await self._guard(ctx).may_deploy(new)

        try:
            deploy = Deploy(ctx, self._railway, new, held.id, held.state, before, allowed, self._poll, self._answers)
            state = await deploy.bring()
            runs = state.release_id
            return state
        except NotDeployed as end:
            runs = end.state.release_id
            kind = Cancelled if end.cancelled else Partial
            now = Held(held.id, held.inputs, end.state)
            raise kind(end.what, held=now, world=end.world, next=end.next) from end
        finally:
            if replaced:
                await self._kept(new, runs)

    async def _make_way(self, ctx: Context, new: ServiceSpec) -> None:
        """What a deployment in place of another one waits for; asked again whenever something was waited for."""
        guard = self._guard(ctx)
        await guard.may_deploy(new)
        otherwise = f"{new.name} was not deployed, because the update was stopped."
        await guard.drained(new.app, new.colour, new.max_request_seconds, otherwise=otherwise)

    async def _kept(self, new: ServiceSpec, release: str | None) -> None:
        """A release that runs there after all may be gone back to by hand; if Kong is away, pulumi up still may."""
        with suppress(Halt):
            await self._colours.kept(new.app, new.colour, release)

    async def _warned(self, ctx: Context, new: ServiceSpec) -> None:
        """What a deployment in place of another one may cost all the same."""
        for risk in await self._late(new.name, new.release.overlap_seconds) if self._late is not None else ():
            await ctx.milestone(f"Warning: {risk}")

    async def _stop(self, ctx: Context, new: ServiceSpec, old: Held[ServiceState]) -> ServiceState:
        guard, patience = self._guard(ctx), self._patience(ctx, new)
        await guard.may_stop(new)
        otherwise = f"{new.name} was not stopped, because the update was stopped."
        await guard.drained(new.app, new.colour, new.max_request_seconds, otherwise=otherwise)

        replaced = False

        async def at_last() -> None:
            nonlocal replaced
            replaced = await self._colours.replacing(new.app, new.colour)
            await guard.may_stop(new)
            await self._rewrite(ctx, new, old)

        try:
            return await stop(self._railway, new, old, patience, at_last)
        finally:
            if replaced:  # once it is stopped, it does not answer, and that says enough
                await self._kept(new, old.state.release_id)

    async def _rewrite(self, ctx: Context, new: ServiceSpec, old: Held[ServiceState]) -> None:
        if rewritten(new, old):
            await Template(self._railway, old.id, self._patience(ctx, new)).write(new, before=held_spec(old.inputs))
            await ctx.milestone(f"{new.name}: configuration written; release {new.release_id} needs no deployment")

    def _guard(self, ctx: Context) -> Guard:
        return Guard(ctx, self._colours)

    async def _resume(self, ctx: Context, new: ServiceSpec, old: Held[ServiceState]) -> ServiceState | None:
        try:
            return await resume(self._railway, new, old, self._patience(ctx, new), self._answers)
        except (Refused, ApiError) as problem:
            world = f"{new.name} may have been restarted; it still counts as stopped, and no traffic was moved."
            next_ = problem.next or "Run pulumi up again."
            raise Partial(problem.what, held=old, world=world, next=next_) from problem

    async def _right_place(self, ctx: Context, place: Place) -> None:
        key = (place.project_id, place.environment_id)
        if key not in self._right:
            await self._look(ctx).while_busy(lambda: right_place(self._railway, place))
            self._right.add(key)

    async def _regions(self, ctx: Context, new: ServiceSpec, old: Held[ServiceState] | None) -> None:
        """What is held is not asked about, so that an ordinary preview needs no Railway."""
        before = held_spec(old.inputs) if old is not None else None
        known = before.release.replicas if before is not None else {}
        await self._look(ctx).while_busy(lambda: must_exist(self._railway, new, known))

    def _look(self, ctx: Context) -> Patience:
        """For what is asked first: a Railway that is out of reach is told at once, one that asks for time gets it."""
        until = ctx.now() + timedelta(seconds=ANSWERS_WITHIN)
        return Patience(ctx, min(until, ctx.deadline or until), self._poll)

    def _patience(self, ctx: Context, spec: ServiceSpec) -> Patience:
        return whole(ctx, spec, self._poll)
