"""`bluegreen phase PHASE`: one phase of a release, or its way back, from a laptop and from a pipeline alike.

    validation           every check, each pending migration on a copy, and the plan; changes nothing
    database_migration   the newest migration is wanted and applied
    backend_deployment   an image into the app's idle colour, deployed and verified, without traffic
    frontend_deployment  the same of the frontend
    traffic_switch       every app whose idle colour is ahead serves from there
    rollback             traffic back at once; then the commit; then the update that lets go of it

Each composes the verbs that a person would run. What changes the stack is a commit of its file: judged by a plan,
pushed forward only, brought up after that. A pipeline's file has nothing to decide: it calls this.
"""

from pathlib import Path
from typing import Annotated

import typer

from bluegreen.cli.phase_back import back
from bluegreen.cli.phase_deploy import deployment
from bluegreen.cli.phase_look import validation
from bluegreen.cli.phase_schema import migration
from bluegreen.cli.phase_switch import switch
from bluegreen.cli.phase_work import Wish, Work
from bluegreen.cli.place import StackName
from bluegreen.cli.screen import Screen
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.evidence.folder import replaced
from bluegreen.handler import Halt, Refused
from bluegreen.phases.told import Phase

Name = Annotated[Phase, typer.Argument(metavar="PHASE", help="Which one; see above.")]
Place = Annotated[str, typer.Argument(metavar="[STACK]", help="The Pulumi stack; or --stack, or PULUMI_STACK.")]
Image = Annotated[
    list[str] | None,
    typer.Option(help="The image: a tag or a digest of the phase's app, or APP=IMAGE; may be given again."),
]
App = Annotated[list[str] | None, typer.Option(help="Another app than the phase is named after; may be given again.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the record of the release. A rollback needs one.")]
Target = Annotated[str, typer.Option(help="database_migration: another version than the newest.")]
Push = Annotated[bool, typer.Option("--push/--no-push", help="Whether the commit goes to the remote before it is up.")]
Branch = Annotated[str, typer.Option(help="The branch that this stack follows.")]
Remote = Annotated[str, typer.Option(help="Where that branch is.")]
Pack = Annotated[list[Path] | None, typer.Option(help="Judge it by this policy pack instead of the project's own.")]
Report = Annotated[Path | None, typer.Option(help="Keep the plan and every step's outcome in this folder.")]
Keep = Annotated[
    bool, typer.Option("--keep", help="Deployments: keep the idle colour's block, change its image alone.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Deployments: copy the live block over the idle one's.")]
Unchecked = Annotated[bool, typer.Option("--unchecked", help="rollback: do not ask first whether the target is well.")]
Guard = Annotated[float, typer.Option(help="rollback: seconds to look whether it stays so.", min=0, max=600)]


async def phase(
    name: Name,
    place: Place = "",
    *,
    image: Image = None,
    app: App = None,
    reason: Reason = "",
    target: Target = "",
    push: Push = True,
    branch: Branch = "main",
    remote: Remote = "origin",
    policy_pack: Pack = None,
    report: Report = None,
    keep: Keep = False,
    overwrite: Overwrite = False,
    unchecked: Unchecked = False,
    guard: Guard = 15.0,
    stack_name: StackName = "",
) -> Outcome:
    """Run one phase of a release: validation, database_migration, backend_deployment, frontend_deployment,
    traffic_switch or rollback."""
    if not (chosen := place or stack_name):
        what = "No stack is named."
        raise Refused(what, world="Nothing was changed.", next=f"bluegreen phase {name} STACK, or set PULUMI_STACK.")
    wish = Wish(
        images=image or (),
        apps=app or (),
        reason=reason.strip(),
        target=target,
        push=push,
        branch=branch,
        remote=remote,
        packs=policy_pack,
        report=_folder(report),
        keep=keep,
        overwrite=overwrite,
        unchecked=unchecked,
        guard=guard,
    )
    work = Work(name, chosen, wish, Screen())
    try:
        outcome = await _carried_out(work)
    except Halt as halt:
        outcome = work.ended(Exit.REFUSED, halt.what, halt.world, halt.next)
    finally:
        await work.close()
    if wish.report is not None:
        replaced(wish.report / "phase.json", outcome.model_dump_json(by_alias=True, indent=2) + "\n")
        replaced(wish.report / "phase.md", _markdown(outcome, name, work.stack.name))
    return outcome


async def _carried_out(work: Work) -> Outcome:
    match work.phase:
        case "validation":
            return await validation(work)
        case "database_migration":
            return await migration(work)
        case "backend_deployment":
            return await deployment(work, "backend")
        case "frontend_deployment":
            return await deployment(work, "frontend")
        case "traffic_switch":
            return await switch(work)
        case "rollback":
            return await back(work)


def _folder(report: Path | None) -> Path | None:
    if report is None:
        return None
    try:
        report.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        what = f"{report} cannot be made: {problem.strerror}."
        raise Refused(what, world="Nothing was changed.", next="Name another folder.") from None
    return report.resolve()


def _markdown(outcome: Outcome, name: str, stack: str) -> str:
    """What a pipeline shows of it."""
    beats = " ".join(beat for beat in (outcome.what, outcome.world, outcome.next) if beat)
    steps = getattr(outcome.facts, "steps", ())
    rows = "".join(f"| {each.name} | {each.exit} | {each.what.replace('|', '/').splitlines()[0]} |\n" for each in steps)
    table = f"\n| Step | Exit | |\n| --- | --- | --- |\n{rows}" if rows else ""
    return f"### {name} of {stack}: {int(outcome.exit)}\n\n{beats}\n{table}"
