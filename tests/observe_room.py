"""A stack's settings as its file would give them: what the tests of dashboards, rules and their verb share."""

import json
from collections.abc import Mapping
from typing import Any

from bluegreen.settings import Settings

RELEASES = {"blue": "a" * 64, "green": "b" * 64}


def block(colour: str, **given: Any) -> dict[str, Any]:
    return {"image": f"ghcr.io/acme/shop@sha256:{RELEASES[colour]}", "replicas": {"us-west2": 1}, **given}


def config(**more: Any) -> dict[str, Any]:
    """Two apps, both colours of the first; a model, a database, analyses with bars of their own."""
    return {
        "shop:railway": {"projectId": "p", "environmentId": "e"},
        "shop:apps": {
            "orders": {
                "kind": "api",
                "live": "blue",
                "blue": block("blue"),
                "green": block("green"),
                "routes": {"api": {"paths": ["/api"]}},
            },
            "pages": {"kind": "web", "live": "blue", "blue": block("blue"), "routes": {"web": {"paths": ["/"]}}},
        },
        "shop:gateway": {"models": [{"name": "painter", "type": "image", "host": "models.test"}]},
        "shop:migrations": {"target": "011", "baseline": "010"},
        "shop:rollout": {
            "order": ["pages", "orders"],
            "progressDeadlineSeconds": 900,
            "postPromotionAnalysis": {
                "metrics": [
                    {"name": "errors", "probe": {}, "thresholdRange": {"max": 2}},
                    {"name": "slow", "probe": {}, "measures": "latency", "thresholdRange": {"max": 750}},
                    {
                        "name": "aim",
                        "kong": {},
                        "measures": "latency",
                        "percentile": 99,
                        "thresholdRange": {"max": 400},
                        "dryRun": True,
                    },
                ]
            },
        },
        **more,
    }


def settings(**more: Any) -> Settings:
    return parsed(config(**more))


def parsed(whole: Mapping[str, Any]) -> Settings:
    given = {key: value if isinstance(value, str) else json.dumps(value) for key, value in whole.items()}
    return Settings.parse("shop", "test", given)
