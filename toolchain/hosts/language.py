"""The Python language host: runs Pulumi programs and policy packs in their virtual environment.

It serves what a CLI asks for in preview, up, refresh, destroy and about. It does not generate code, install
dependencies or attach debuggers: those calls are declined in one sentence each. The program itself is started by
`pulumi-language-python-exec`, Pulumi's own script, which lies beside the CLI.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from toolchain.hosts import processes
from toolchain.hosts.serving import refuse, serve
from toolchain.hosts.virtualenv import Environment, NoEnvironment
from toolchain.versions import PULUMI

ALREADY_SAID = 32  # the program has told the user itself; saying more would only bury it
EXECUTOR = "PULUMI_LANGUAGE_PYTHON_EXEC"  # set by the launcher: where Pulumi's own script lies

_DECLINED = {
    "GenerateProgram": "converting programs to Python",
    "GenerateProject": "converting projects to Python",
    "GeneratePackage": "generating a Python SDK",
    "Pack": "packing a Python SDK",
    "Link": "linking local packages",
}


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Each program and each policy pack is one child; none outlives the call that asked for it."""

    def __init__(self, engine: str, executor: Path) -> None:
        self._engine = engine
        self._executor = executor
        self._children: set[processes.Child] = set()

    async def Handshake(self, request: Any, context: Any) -> language_pb2.LanguageHandshakeResponse:
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    async def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=PULUMI)

    async def GetRequiredPackages(self, request: Any, context: Any) -> language_pb2.GetRequiredPackagesResponse:
        environment = await _environment(request.info, context)
        needed = [
            plugin_pb2.PackageDependency(
                name=plugin.name, kind="resource", version=plugin.version, server=plugin.server
            )
            for plugin in environment.plugins()
        ]
        return language_pb2.GetRequiredPackagesResponse(packages=needed)

    async def GetProgramDependencies(self, request: Any, context: Any) -> language_pb2.GetProgramDependenciesResponse:
        environment = await _environment(request.info, context)
        packages = environment.packages() if request.transitiveDependencies else environment.wanted()
        found = [language_pb2.DependencyInfo(name=package.name, version=package.version) for package in packages]
        return language_pb2.GetProgramDependenciesResponse(dependencies=found)

    async def About(self, request: Any, context: Any) -> language_pb2.AboutResponse:
        environment = await _environment(request.info, context)
        served = {"languageHost": f"bluegreen toolchain, for pulumi {PULUMI}"}
        return language_pb2.AboutResponse(
            executable=str(environment.python), version=environment.version(), metadata=served
        )

    async def Run(self, request: Any, context: Any) -> language_pb2.RunResponse:
        try:
            environment = _named(request.info)
            child = await self._start(
                [str(environment.python), "-u", str(self._executor), *run_arguments(request, self._engine)],
                environment=environment.variables(dict(os.environ)) | run_variables(request),
                folder=request.pwd or None,
            )
        except (NoEnvironment, OSError) as problem:
            return language_pb2.RunResponse(error=_cannot_start(problem))
        code = await self._finish(child)
        if code == ALREADY_SAID:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=ended(request, code) if code else "")

    async def RunPlugin(self, request: Any, context: Any) -> AsyncIterator[language_pb2.RunPluginResponse]:
        if request.kind != "analyzer":
            await refuse(
                context,
                f"this Python language host runs programs and policy packs, not a {request.kind or 'plugin'} plugin. "
                "Nothing was run. Give the plugin an executable of its own, named pulumi-resource-NAME.",
            )
        environment = await _environment(request.info, context)
        pack = request.info.program_directory
        told: asyncio.Queue[language_pb2.RunPluginResponse | None] = asyncio.Queue()
        variables = dict(pair.split("=", 1) for pair in request.env if "=" in pair) or dict(os.environ)
        try:
            child = await self._start(
                [str(environment.python), "-u", "-m", "pulumi.policy", *request.args, pack],
                environment=environment.variables(variables),
                folder=pack,
                stdout=lambda data: told.put_nowait(language_pb2.RunPluginResponse(stdout=data)),
                stderr=lambda data: told.put_nowait(language_pb2.RunPluginResponse(stderr=data)),
            )
        except OSError as problem:
            await refuse(context, _cannot_start(problem))
        ending = asyncio.create_task(self._finish(child))
        ending.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (message := await told.get()) is not None:
                yield message
            yield language_pb2.RunPluginResponse(exitcode=await ending)
        finally:
            ending.cancel()  # the engine hung up: the pack has nobody left to judge for
            await asyncio.gather(ending, return_exceptions=True)

    async def InstallDependencies(
        self, request: Any, context: Any
    ) -> AsyncIterator[language_pb2.InstallDependenciesResponse]:
        await refuse(
            context,
            "this Python language host does not install dependencies. Nothing was changed. "
            "Run `make setup`, which installs the hashed requirements into .venv.",
        )
        yield language_pb2.InstallDependenciesResponse()

    async def RuntimeOptionsPrompts(self, request: Any, context: Any) -> language_pb2.RuntimeOptionsResponse:
        return language_pb2.RuntimeOptionsResponse()

    async def Template(self, request: Any, context: Any) -> language_pb2.TemplateResponse:
        return language_pb2.TemplateResponse()

    async def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        await self.stop()
        return empty_pb2.Empty()

    async def stop(self) -> None:
        """End every program and policy pack that still runs."""
        await asyncio.gather(*(child.end() for child in list(self._children)))

    async def _start(self, arguments: list[str], **how: Any) -> processes.Child:
        child = await processes.start(arguments, **how)
        self._children.add(child)
        return child

    async def _finish(self, child: processes.Child) -> int:
        try:
            return await child.done()
        except asyncio.CancelledError:
            await asyncio.shield(child.end())
            raise
        finally:
            self._children.discard(child)


def _declined(doing: str) -> Callable[[Any, Any, Any], Awaitable[NoReturn]]:
    async def decline(self: LanguageHost, request: Any, context: Any) -> NoReturn:
        text = f"{doing} is not what this Python language host does. Nothing was changed. Pulumi's own CLI does it."
        await refuse(context, text, grpc.StatusCode.UNIMPLEMENTED)

    return decline


for _call, _doing in _DECLINED.items():
    setattr(LanguageHost, _call, _declined(_doing))


def run_arguments(request: Any, engine: str) -> list[str]:
    """What Pulumi's executor script is told about one run, in its own option names."""
    told = {
        "monitor": request.monitor_address,
        "engine": engine,
        "project": request.project,
        "root_directory": request.info.root_directory,
        "stack": request.stack,
        "pwd": request.pwd,
        "dry_run": "true" if request.dryRun else "",
        "parallel": str(request.parallel),
        "organization": request.organization,
    }
    options = [part for name, value in told.items() if value for part in (f"--{name}", value)]
    return [*options, request.program or ".", *request.args]


def run_variables(request: Any) -> dict[str, str]:
    """The stack's config, in the variables that the SDK reads it from."""
    return {
        "PULUMI_CONFIG": json.dumps(dict(request.config)),
        "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
    }


def ended(request: Any, code: int) -> str:
    """One text for a program that ended badly without having said so itself."""
    named = request.program if request.program not in ("", ".") else "__main__.py"
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    world = (
        "Nothing was changed."
        if request.dryRun
        else "What it had declared until then may have been changed, and is in the state."
    )
    return (
        f"the program {named} {how} before it was done. {world} Mend what it printed above, then run the command again."
    )


def _cannot_start(problem: Exception) -> str:
    if isinstance(problem, NoEnvironment):
        return str(problem)
    return (
        f"the program's Python cannot be started: {problem}. Nothing was run. Run `make setup`, then the command again."
    )


def _named(info: Any) -> Environment:
    options = info.options.fields
    return Environment.named(
        options["virtualenv"].string_value if "virtualenv" in options else "",
        Path(info.root_directory),
        options["toolchain"].string_value if "toolchain" in options else "",
    )


async def _environment(info: Any, context: Any) -> Environment:
    try:
        return _named(info)
    except NoEnvironment as problem:
        await refuse(context, str(problem))


async def run(engine: str, parent: int) -> None:
    """Serve until the engine is done, or the process that started this one is gone."""
    if not (executor := os.environ.get(EXECUTOR)):
        sys.exit(f"{EXECUTOR} is not set: this host is started by the launcher that `make setup` writes, not by hand.")

    def add(server: grpc.aio.Server) -> Callable[[], Awaitable[None]]:
        host = LanguageHost(engine, Path(executor))
        language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
        return host.stop

    await serve(add, parent)
