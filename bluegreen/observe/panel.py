"""What a Grafana panel is made of: a question or several, a unit, and its place in a grid that is filled row by row.

Dashboards are the classic JSON that every Grafana from 10 on reads (schema 39). It deliberately knows no stack and
no query: `panels.py` does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SOURCE: Mapping[str, str] = {"type": "prometheus", "uid": "${datasource}"}
WIDE = 24  # columns of Grafana's grid
TINTS: Mapping[str, str] = {"blue": "#3274D9", "green": "#37872D"}  # a colour is drawn in its own colour
KINDS = ("timeseries", "stat", "state-timeline", "row", "text")
UNITS = frozenset({"percent", "reqps", "ms", "s", "short", "dateTimeFromNow", "none"})

Kind = Literal["timeseries", "stat", "state-timeline"]
Steps = Sequence[tuple[float | None, str]]  # from this value on, this colour; the first has none


@dataclass(frozen=True, slots=True)
class Target:
    """One question; `legend` is Grafana's: `{{app}}`. `instant` asks for now alone."""

    expr: str
    legend: str
    instant: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `stacked` shares add up to a whole, `words` says what a value is called."""

    title: str
    says: str
    targets: Sequence[Target]
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 12
    height: int = 8
    most: float | None = None
    stacked: bool = False
    lines: bool = False  # the steps are drawn as lines, too
    named: bool = False  # a stat shows its legend instead of its number
    steps: Steps = ((None, "green"),)
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # value -> text, colour

    def drawn(self, number: int, x: int, y: int) -> dict[str, Any]:
        """As Grafana reads it."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.says,
            "datasource": dict(SOURCE),
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "targets": [_target(target, letter) for target, letter in zip(self.targets, "ABCDEFGH", strict=False)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": [*map(_tinted, TINTS)]},
            "options": self._options(),
        }

    def _defaults(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "min": 0,
            "color": {"mode": "palette-classic" if self.kind == "timeseries" else "thresholds"},
            "thresholds": {
                "mode": "absolute",
                "steps": [{"value": value, "color": colour} for value, colour in self.steps],
            },
            "mappings": _words(self.words),
        }
        if self.unit == "dateTimeFromNow":
            del defaults["min"]
        if self.most is not None:
            defaults["max"] = self.most
        if self.kind == "timeseries":
            defaults["custom"] = {
                "drawStyle": "line",
                "lineInterpolation": "stepAfter" if self.stacked else "linear",
                "lineWidth": 2,
                "fillOpacity": 40 if self.stacked else 8,
                "showPoints": "never",
                "spanNulls": False,
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if self.lines else "off"},
            }
        return defaults

    def _options(self) -> dict[str, Any]:
        if self.kind == "stat":
            reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
            text = "name" if self.named else "auto"
            return {"reduceOptions": reduced, "textMode": text, "colorMode": "value", "graphMode": "none"}
        legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
        if self.kind == "state-timeline":
            return {"legend": legend, "showValue": "never", "mergeValues": True, "rowHeight": 0.8}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


def laid(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Every row's heading and panels, side by side while there is room, numbered from 1; no two overlap."""
    drawn: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"h": 1, "w": WIDE, "x": 0, "y": y}
        heading = {"id": len(drawn) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": place}
        drawn.append({**heading, "panels": []})
        x, y, tall = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDE:
                x, y, tall = 0, y + tall, 0
            drawn.append(panel.drawn(len(drawn) + 1, x, y))
            x, tall = x + panel.width, max(tall, panel.height)
        y += tall
    return drawn


def _target(target: Target, letter: str) -> dict[str, Any]:
    when = {"instant": True, "range": False} if target.instant else {"instant": False, "range": True}
    return {
        "refId": letter,
        "datasource": dict(SOURCE),
        "editorMode": "code",
        "expr": target.expr,
        "legendFormat": target.legend,
        **when,
    }


def _tinted(colour: str) -> dict[str, Any]:
    """A series whose name ends in a colour's is drawn in it."""
    return {
        "matcher": {"id": "byRegexp", "options": f"/\\b{colour}$/"},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": TINTS[colour]}}],
    }


def _words(words: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    if not words:
        return []
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]
