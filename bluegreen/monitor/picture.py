"""Everything that is known of a watch under way: what the view shows and the document tells. Holds, decides nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bluegreen.journal import Beat
from bluegreen.monitor.alarm import Alarms
from bluegreen.monitor.baseline import Baseline
from bluegreen.monitor.row import Before, Row, Trend
from bluegreen.monitor.sight import Sight
from bluegreen.monitor.trouble import role
from bluegreen.monitor.wish import Wish
from bluegreen.rollout.judge import Decision
from bluegreen.spec import Colour


@dataclass(slots=True)
class Verdict:
    """What the judge says so far; `seen` are the requests of its own probes."""

    decision: Decision | None = None
    because: str = ""
    seen: int = 0
    colours: Mapping[str, Colour] = field(default_factory=dict)
    unseen: str = ""  # why what was seen so far is not judged


@dataclass(slots=True)
class Picture:
    """One watch, as it stands."""

    owner: str
    release: str
    wish: Wish
    began: datetime
    baseline: Baseline
    rows: dict[tuple[str, str, str], Row] = field(default_factory=dict)  # by app, endpoint and way
    sight: Sight = field(default_factory=Sight)
    alarms: Alarms = field(default_factory=Alarms)
    verdict: Verdict = field(default_factory=Verdict)
    failed: str = ""  # why, as soon as it has
    rounds: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)
    doing: str = ""  # what is under way beside watching: the way back

    def add(self, beat: Beat) -> None:
        """One endpoint's answer of this round."""
        row = self.rows.setdefault((beat.app, beat.endpoint, beat.way), Row(beat.app, beat.endpoint, beat.way))
        row.add(beat)

    def role(self, row: Row) -> str:
        return role(row.way, row.app, self.sight.live)

    def before(self, row: Row) -> Before | None:
        return self.baseline.rows.get((row.app, row.endpoint, self.role(row)))

    def trend(self, row: Row) -> Trend:
        """Its trend; nobody compares what is idle."""
        return row.trend(self.before(row))

    def sorted(self) -> Iterator[Row]:
        """Users first, then what serves, then what is idle; in each the apps and endpoints as they were asked."""
        order = {"users": 0, "live": 1, "idle": 2}
        return iter(sorted(self.rows.values(), key=lambda row: (row.app, order[self.role(row)])))

    def elapsed(self, now: datetime) -> timedelta:
        return now - self.began

    def left(self, now: datetime) -> timedelta:
        return max(timedelta(), self.wish.duration - self.elapsed(now))

    @property
    def so_far(self) -> str:
        """The verdict as it is now, in a word."""
        if self.failed:
            return "fail"
        decision = self.verdict.decision
        if decision is None or decision.verdict is None:
            return "none yet"
        return decision.verdict
