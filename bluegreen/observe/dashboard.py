"""A stack's Grafana dashboard, whole: `dashboard(settings)` is the JSON that Grafana imports.

Two ways in, one file: the import dialogue asks for the Prometheus (`__inputs`), and provisioning, which fills in no
inputs, finds it by the variable `datasource`. Its uid follows from the stack alone, so an import replaces the one
before it and links to it stay. It deliberately holds no alert: those are Prometheus' rules, which need no Grafana.
"""

import hashlib
from typing import Any

from bluegreen.observe import series
from bluegreen.observe.panel import SOURCE, laid
from bluegreen.observe.panels import rows
from bluegreen.observe.queries import Queries
from bluegreen.settings import Settings

SCHEMA = 39  # Grafana 10.4; a newer one migrates it when it is opened
INPUT = "DS_PROMETHEUS"
REQUIRES = (
    ("grafana", "grafana", "Grafana", "10.4.0"),
    ("datasource", "prometheus", "Prometheus", "1.0.0"),
    ("panel", "stat", "Stat", ""),
    ("panel", "state-timeline", "State timeline", ""),
    ("panel", "timeseries", "Time series", ""),
)


def dashboard(settings: Settings, *, kong_job: str = "", postgres_job: str = "") -> dict[str, Any]:
    """The dashboard of this stack; equal settings make equal dashboards."""
    ask = Queries(settings, kong_job=kong_job, postgres_job=postgres_job)
    return {
        "__inputs": [_input()],
        "__requires": [
            {"type": kind, "id": id, "name": name, "version": version} for kind, id, name, version in REQUIRES
        ],
        "uid": f"bluegreen-{hashlib.sha256(settings.owner.encode()).hexdigest()[:12]}",
        "title": f"Releases of {settings.owner}",
        "description": "Made by `bluegreen observe dashboard` from the stack's config. Edit that, not this.",
        "tags": ["bluegreen", settings.owner],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "utc",
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [_datasource()]},
        "annotations": {"list": [*_annotations(ask)]},
        "links": [],
        "panels": laid(rows(settings, ask)),
    }


def _input() -> dict[str, str]:
    return {
        "name": INPUT,
        "label": "Prometheus",
        "description": "Where Kong's metrics, the monitor's and postgres_exporter's are.",
        "type": "datasource",
        "pluginId": "prometheus",
        "pluginName": "Prometheus",
    }


def _datasource() -> dict[str, Any]:
    chosen = f"${{{INPUT}}}"
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {"selected": False, "text": chosen, "value": chosen},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def _annotations(ask: Queries) -> list[dict[str, Any]]:
    moved = f"changes({ask.ours(series.WEIGHT, over='1m', colour='green')}) > 0"
    rollbacks = ask.ours(series.ROLLBACKS)
    # The first one is a new series, which no increase shows.
    back = f"({rollbacks} unless {rollbacks} offset 1m) or increase({ask.ours(series.ROLLBACKS, over='1m')}) > 0"
    alarmed = f'ALERTS{{stack="{ask.settings.owner}", alertstate="firing"}}'
    return [
        _annotation("Moves", moved, "Traffic of {{app}} moved", "semi-dark-blue"),
        _annotation("Rollbacks", back, "{{app}} was rolled back: {{reason}} {{result}}", "dark-red"),
        _annotation("Alarms", alarmed, "{{alertname}} ({{severity}}) {{service}}{{app}}", "orange"),
    ]


def _annotation(name: str, expr: str, title: str, colour: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": dict(SOURCE),
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "expr": expr,
        "step": "15s",
        "titleFormat": title,
        "textFormat": "",
        "tagKeys": "",
        "useValueForTime": False,
    }
