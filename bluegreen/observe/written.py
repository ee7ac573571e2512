"""What is generated for others to run, as text: the dashboard as JSON, the rules as YAML. Equal settings, equal text.

Both are meant to be committed beside the stack's config, where a review shows what a change of the config does to them
and a pipeline sees when they have fallen behind. It deliberately writes no file.
"""

import json

import yaml

from bluegreen.observe.alarms import groups
from bluegreen.observe.dashboard import dashboard
from bluegreen.settings import Settings

HEAD = """\
# Alarms of {owner}, made by `bluegreen observe rules` from the stack's config. Edit that, not this.
# What each of them means, and what helps: docs/observe.md.
"""
ENDLESS = 100_000  # a query stands on one line, so that a diff shows it whole


def dashboard_text(settings: Settings, *, kong_job: str = "", postgres_job: str = "") -> str:
    """Grafana's JSON, for its import dialogue or a folder that it provisions from."""
    drawn = dashboard(settings, kong_job=kong_job, postgres_job=postgres_job)
    return json.dumps(drawn, indent=2, ensure_ascii=False) + "\n"


def rules_text(settings: Settings, *, kong_job: str = "", postgres_job: str = "") -> str:
    """Prometheus' YAML, for a folder under `rule_files`."""
    owner = settings.owner
    told = [
        {"name": f"{owner} {group.name}", "rules": [alert.rule(owner) for alert in group.alerts]}
        for group in groups(settings, kong_job=kong_job, postgres_job=postgres_job)
    ]
    body = yaml.safe_dump({"groups": told}, sort_keys=False, width=ENDLESS, allow_unicode=True)
    return HEAD.format(owner=owner) + body
