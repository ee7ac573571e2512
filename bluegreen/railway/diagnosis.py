"""Why a deployment ended badly: the step that failed, and the last lines that its containers wrote.

Railway keeps both for days only, so they are read at once and go into the error. The values of the service's secrets
are blotted out, and each line of one as well: an app may well print them, and a log comes line by line. Not being able
to read them changes nothing about the error.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bluegreen.http import ApiError
from bluegreen.railway.api import Railway

READ, SHOWN = 200, 20  # log lines
WIDEST = 300  # characters of a line
HIDDEN_FROM = 4  # characters: shorter secrets are parts of words


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`where` completes a sentence (" at HEALTHCHECK: …"); `details` are whole lines for the end of an error."""

    where: str
    details: str


async def diagnose(railway: Railway, deployment_id: str, secrets: Iterable[str]) -> Diagnosis:
    """Ask Railway for events and logs of a deployment."""
    hidden = _hidden(secrets)

    def told(text: str) -> str:
        for secret in hidden:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:WIDEST]

    where, lines = "", []
    try:
        events = await railway.deployment_events(deployment_id)
        where = told(_where(events))
        lines += ["events:", *(f"  {told(_event(event))}" for event in events)] if events else []
    except ApiError as problem:
        lines.append(f"events could not be read: {problem.what}")
    try:
        logs = (await railway.deployment_logs(deployment_id, READ))[-SHOWN:]
        if logs:
            lines += ["last log lines:", *(f"  {told(line)}" for line in logs)]
        elif lines:
            lines.append("it wrote no log line")
    except ApiError as problem:
        lines.append(f"logs could not be read: {problem.what}")
    return Diagnosis(f" {where}" if where else "", "\n".join(lines))


def _hidden(secrets: Iterable[str]) -> list[str]:
    """What is not to be shown, the longest first: what is part of it must not break it up."""
    parts = {part for secret in secrets for part in (secret, *map(str.strip, secret.splitlines()))}
    return sorted((part for part in parts if len(part) >= HIDDEN_FROM), key=len, reverse=True)


def _where(events: list[Mapping[str, Any]]) -> str:
    for event in reversed(events):
        payload = event.get("payload") or {}
        reason = payload.get("error") or payload.get("reason")
        if payload.get("error") or (reason and not event.get("completedAt")):
            return f"at {event['step']}: {reason}"
    return ""


def _event(event: Mapping[str, Any]) -> str:
    payload = event.get("payload") or {}
    parts = [str(event["step"])]
    if payload.get("attempt") is not None:
        most = payload.get("maxAttempts")
        parts.append(f"attempt {payload['attempt']}" + (f" of {most}" if most is not None else ""))
    parts += [f"{name}: {payload[name]}" for name in ("error", "reason", "detail") if payload.get(name)]
    if payload.get("skipped"):
        parts.append("skipped")
    if not event.get("completedAt"):
        parts.append("not completed")
    return ", ".join(parts)
