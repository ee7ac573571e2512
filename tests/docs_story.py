"""One life of a stack, told by the pages: each scene brings the world where its page begins, then runs what it shows.

The order is a release's: it is set up, planned, migrated, deployed, killed midway, shipped, watched and taken back;
then everything breaks that the runbook knows and a sandbox can break. What is run nowhere here is in `ELSEWHERE`.
"""

import os
import re
import shutil
import signal
import socket
import subprocess

import psycopg

from sandbox.people import JWT_SECRET
from sandbox.stack import API_KEY
from tests.box import alive, children
from tests.docs_room import ASKS, STEPS, Room
from tests.stack_files import text as stack_text

PLAN = "bin/bluegreen plan production --policy-pack"
WAITING = "steps: [{setWeight: 5}, {gate: 5m}, {setWeight: 50}, {pause: 5m}]"
UP = "pulumi up"

# What no test of this file runs: how the line begins, and why not, with the tests that do run it, or what it is about.
ELSEWHERE: dict[str, str] = {
    # Targets of minutes, or of the whole checkout.
    "make demo": "minutes; tests/test_demo.py plays its scenes",
    "make test": "this suite itself",
    "make check": "the linters, and this suite itself",
    "make lint": "the linters, of which .github runs each",
    "make setup": "it writes into this checkout; tests/test_toolchain.py and tests/test_toolchain_end_to_end.py",
    "make bench": "half an hour; tests/test_bench.py",
    "make contract": "it asks the live Railway; tests/test_railway_contract.py asks the sandbox's",
    "make lock": "it asks a package registry, and writes the requirements",
    ".venv/bin/python -m benchmarks": "half an hour, and a real Kong; tests/test_bench.py",
    "$(python3 -m toolchain uv) pip compile": "it asks a package registry",
    "uv pip sync --require-hashes": "what make setup runs; tests/test_toolchain.py",
    # Programs that stay until they are stopped, each started by its own tests.
    ".venv/bin/python -m sandbox up": "tests/test_world.py, and tests/test_world_foreign.py for a foreign stack file",
    "python -m sandbox up --nodes 2": "tests/test_world_nodes.py",
    "python -m sandbox.kong": "tests/test_kong_standin_killed.py",
    "python -m sandbox.app": "tests/test_app.py",
    "python -m sandbox.registry_http": "tests/test_stage_registry.py asks it",
    "python -m sandbox.railway_smoke": "it needs an environment of the live Railway; tests/test_railway_smoke.py",
    "python -m tests.teams_world": "tests/test_011_life.py",
    "python -m bluegreen.cli.reference": "tests/test_docs_commands.py compares what it prints with the page",
    # Verbs with a world of their own.
    "bluegreen adopt": "services that somebody made by hand; tests/test_adopt.py",
    "pulumi preview --stack brown": "the same world; tests/test_adopt.py",
    "pulumi stack init S": "the same world; tests/adopt_room.py",
    "bluegreen drill": "a minute or more; tests/test_drill.py",
    "bluegreen migrate matrix": "tests/test_migrate_verbs.py",
    "bluegreen phase": "tests/test_workflows_phases.py",
    "bluegreen up": "tests/test_up_verb.py",
    "pulumi import": "tests/test_import.py",
    "bluegreen orphans --prune": "tests/test_orphans.py",
    # Of others: nothing here, or nothing that a test could reach.
    "gh workflow run": "GitHub runs it; tests/test_workflows_phases.py runs the lines of its jobs",
    "git fetch --unshallow": "tests/test_up_branch.py meets a shallow clone",
    "export PULUMI_STACK=production": "in the environment of every command here",
    "psql --single-transaction --file": "a peer of the benchmarks; tests/test_bench_migrations.py",
    "supabase db push --remote": "a peer that is named, not run",
    "deck dump": "another tool, that is named, not run",
    "pulumi login": "a way in to a shared backend, and there is none here",
    "pulumi stack export --version N": "Pulumi Cloud alone has versions",
    "pulumi stack change-secrets-provider": "Pulumi's own, and the passphrase is asked for at a terminal",
    "pulumi state unprotect": "Pulumi's own",
    "pulumi config --json --show-secrets": "every verb that needs the engine runs it",
    "pulumi up restarts it first": "a sentence that is quoted",
}


def told(here: Room) -> None:
    """All of it, in its order."""
    for scene in (
        begins,
        validates,
        migrates,
        deploys,
        is_killed,
        ships,
        tells,
        goes_back,
        keeps_its_gateway,
        is_repaired,
    ):
        scene(here)
    for scene in (finds_locks, loses_its_state, ends):
        scene(here)


def begins(here: Room) -> None:
    """README, security: secrets are set, and the stack goes up with release 41."""
    tokens = {
        "pulumi config set --secret bluegreen": here.world.railway_token,
        "pulumi config set --secret --path": API_KEY,
    }
    here.plays("security.md", "pulumi config set --secret", but=["bin/bluegreen validate"], told=tokens)
    here.shell("git commit -qam Secrets")
    here.plays("policies.md", "pulumi preview --policy-pack")
    here.run("README.md", UP)
    here.run("security.md", "bin/bluegreen validate production --group tokens")
    here.run("README.md", "make doctor")
    here.run("README.md", 'eval "$(python3 -m toolchain env)" && command -v pulumi')
    here.run("README.md", ".venv/bin/python -m sandbox hosts")


def validates(here: Room) -> None:
    """The deployment plan's first phase."""
    here.plays("deployment-plan.md", "git status --short", but=[PLAN])


def migrates(here: Room) -> None:
    """Its second phase: by hand first, and taken back by hand; then by an update."""
    here.edit('target: "010"', 'target: "011"')
    here.shell("git commit -qam 'Schema 011'")
    here.run("deployment-plan.md", "bin/bluegreen migrate dry-run")
    plan = "reports/production/migrations/011_team_collaboration_foundation/plan.json"
    here.run("deployment-plan.md", f"bin/bluegreen migrate apply --plan {plan} --stack production")
    here.run("deployment-plan.md", "bin/bluegreen migrate rollback 011 --stack production")
    here.plays("deployment-plan.md", "pulumi up --stack production")
    asks = ASKS.search(stack_text("production"))
    assert asks is not None
    here.edit("    - {name: kong-asks-for-a-key", f"{asks[0]}    - {{name: kong-asks-for-a-key")
    here.shell("git commit -qam 'Teams are asked for'")
    with psycopg.connect(here.world.database_url, autocommit=True) as line:
        line.execute("create table public.stray (id int primary key)")
    here.run("runbook.md", 'bin/bluegreen migrate accept --reason "made by the on-call for INC-4711"')
    here.plays("runbook.md", "bin/bluegreen validate production --group database", but=["bin/bluegreen migrate status"])


def deploys(here: Room) -> None:
    """Its third and fourth phase: both apps' release 42 on green, without traffic."""
    again = [PLAN, "bin/bluegreen plan production --check"]  # run before the switch, where most is in it
    here.plays("deployment-plan.md", "bin/bluegreen stage backend v42", but=again)
    here.run("deployment-plan.md", "bin/bluegreen validate production --only 'colours-*'")
    here.plays("deployment-plan.md", "bin/bluegreen stage frontend v42")


def is_killed(here: Room) -> None:
    """Status, runbook: a person lets a release go on, and then its deployer is killed."""
    here.edit("live: blue", "live: green")
    here.edit(STEPS, WAITING)
    job = here.beside(UP)
    try:
        here.awaits(lambda: here.weights() == {"blue": 95, "green": 5})
        here.run_once_it_can("status.md", 'bluegreen approve backend --reason "seen on the preview" --stack production')
        here.awaits(lambda: here.weights() == {"blue": 50, "green": 50})
    finally:
        left = [job.pid, *children(job.pid)]
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    here.awaits(lambda: not any(alive(pid) for pid in left))
    said = here.plays("runbook.md", "bin/bluegreen status\nbin/bluegreen recover", {"bin/bluegreen status": 14})
    assert "is left by nobody alive" in said, said
    assert here.weights() == {"blue": 100, "green": 0}
    here.undo()


def ships(here: Room) -> None:
    """The fifth phase, and the same plan once more when something else is wanted."""
    here.plays("deployment-plan.md", "bin/bluegreen promote backend frontend", but=["bin/bluegreen validate"])
    assert here.weights() == {"blue": 0, "green": 100}
    other = "sha256:" + "a" * 64
    digest = re.search(r"green: # ghcr.io/velro/backend:v42\n\s+image: \S+@(sha256:\w+)", here.file.read_text("utf-8"))
    assert digest is not None
    here.edit(digest[1], other)
    said = here.run("plan.md", "bluegreen plan production --check plan.json", 15)
    assert other[:19] in said, said
    here.undo()


def tells(here: Room) -> None:
    """Report, observe, schemas, demo app: what is told of a release that serves."""
    (here.folder / "thresholds.yaml").write_text("metrics: {calm: {thresholdRange: {max: 2}}}\n", encoding="utf-8")
    here.filled["NEWEST"] = here.newest()
    here.plays("report.md", "bluegreen report production")
    shutil.copytree(here.reports, here.folder / "reports" / "demo" / "record")  # as the demo leaves it
    here.plays("report.md", "BLUEGREEN_REPORTS=reports/demo")
    here.plays("observe.md", "bluegreen observe dashboard", but=["bluegreen monitor"])
    listens = "bin/bluegreen monitor production 7d 30s --listen 0"
    here.until("observe.md", listens, lambda said: "/metrics" in said, 130)
    here.plays("schemas/README.md", "bluegreen schema")
    promises = (
        f".venv/bin/python -m tests.release_checks {here.world.proxy} --version 2 --database {here.world.database_url}"
    )
    here.run("demo-app.md", f"{promises} --secret {JWT_SECRET} --header 'apikey: {API_KEY}'")


def goes_back(here: Room) -> None:
    """Runbook, deployment plan: by hand, and then in the file."""
    here.plays("runbook.md", "bin/bluegreen rollback full")
    assert here.weights() == {"blue": 100, "green": 0}
    here.plays("runbook.md", "bin/bluegreen status\nbin/bluegreen validate production", {"bin/bluegreen status": 14})
    here.plays("runbook.md", "bin/bluegreen hold show")
    here.run("deployment-plan.md", "bin/bluegreen revert --stack production")
    here.run("runbook.md", "pulumi up --refresh")


def keeps_its_gateway(here: Room) -> None:
    """Gateway: a way back by hand that is held, and what nobody declares."""
    here.edit("max_age: 600", "max_age: 700")
    route = here.admin("GET", "/routes/backend-api")
    here.admin("PATCH", "/routes/backend-api", {"methods": ["GET", "OPTIONS"]})
    here.plays("gateway.md", "bluegreen rollback kong")
    here.plays("gateway.md", "bluegreen hold show", {UP: 1})
    here.undo()
    here.run("runbook.md", 'bin/bluegreen hold release --reason "INC-4711 is fixed"')
    here.plays("gateway.md", "bluegreen bypass", {"bluegreen bypass": 15})
    left = {"paths": ["/left"], "service": route["service"], "tags": ["owner:velro.production"]}
    here.admin("PUT", "/routes/backend-left", left)
    here.plays("gateway.md", "bluegreen orphans", {"bluegreen orphans": 14})
    here.admin("DELETE", "/routes/backend-left")


def is_repaired(here: Room) -> None:
    """Runbook: a plugin that somebody deleted, and a gateway that is gone."""
    plugins = here.admin("GET", "/plugins?size=1000")["data"]
    gone = next(each["id"] for each in plugins if each.get("instance_name") == "backend-api-key-auth")
    here.admin("DELETE", f"/plugins/{gone}")
    mended = "bin/bluegreen validate production --group gateway --group health"
    here.plays("runbook.md", mended, {"bin/bluegreen": 10}, but=["pulumi up"])
    here.plays("runbook.md", "bin/bluegreen validate production --group gateway  ", {"bin/bluegreen": 10})
    here.world.kill("kong")
    here.plays("runbook.md", "bin/bluegreen validate production --only proxy", {"bin/bluegreen": 10})
    here.world.start("kong")


def finds_locks(here: Room) -> None:
    """Runbook: the lock of a process that is dead, and one of another host."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    here.lock(dead.pid, socket.gethostname())
    said = here.plays("runbook.md", "pulumi up --yes\nbin/bluegreen status", {"pulumi up --yes": 1})
    assert "that process is gone" in said, said
    here.lock(4711, "elsewhere")
    here.run("runbook.md", "bin/bluegreen recover", 16)
    here.plays("runbook.md", "pulumi cancel --yes", but=["bin/bluegreen recover"])


def loses_its_state(here: Room) -> None:
    """Runbook: a state that is cut off, and the copy that is named."""
    state = here.state / "stacks" / "velro" / "production.json"
    state.write_bytes(state.read_bytes()[:2000])
    said = here.run("runbook.md", "bin/bluegreen recover", 15)
    copied = re.search(r"cp '[^']+' '[^']+'", said)
    assert copied is not None, said
    here.shell(copied[0])


def ends(here: Room) -> None:
    """Runbook: what is looked at afterwards; then what would change the end."""
    said = here.plays("runbook.md", "bin/bluegreen status\nbin/bluegreen hold show")
    assert "Nothing drifts." in said, said
    here.run("runbook.md", "pulumi up --expect-no-changes")
    here.run("runbook.md", "PULUMI_OPTION_SKIP_PREVIEW=false pulumi destroy", 1)  # protect refuses it
    here.run("runbook.md", "pulumi whoami -v")
    here.run("security.md", "pulumi stack export --file state.json --stack production")
    here.run("runbook.md", "git show HEAD:Pulumi.production.yaml > ../live.yaml")
    here.run("runbook.md", "bin/bluegreen status --help")
    here.run("runbook.md", "bin/bluegreen validate production --group tls", 15)  # there is no TLS here to ask about
    here.run("gateway.md", "bluegreen rehearse")
    here.run("gateway.md", "bluegreen keep")
    here.run("stage.md", "bluegreen stage --from staging", 15)  # nothing has passed there
    here.edit("{europe-west4-drams3a: 2}", "{mars-1: 1}")
    here.run("railway.md", "pulumi preview", 1)
    here.undo()
    here.run("stage.md", "git revert --no-edit HEAD")
    gone_back = {"bluegreen rollback full": 15}  # green was left by hand, so it is rejected itself
    here.plays("rollout.md", "bluegreen rollback full", gone_back, but=["bluegreen rollback backend", "bluegreen hold"])
    here.run(
        "rollout.md", 'bluegreen rollback backend --reason "as the page says" --to blue --write --unchecked --guard 1'
    )
    here.run("rollout.md", 'bluegreen hold release --reason "as the page says"')
    here.plays("notifications.md", "pulumi config set --secret")
