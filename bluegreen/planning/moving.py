"""How traffic moves, told in its stages, and how long that takes at most by its own word. Pure."""

from collections.abc import Mapping

from bluegreen.analysis import Analysis
from bluegreen.gateway import Slot, Split
from bluegreen.planning.document import Leg, Way
from bluegreen.rollout import plan as rollout
from bluegreen.rollout.plan import Move
from bluegreen.rollout.spec import TrafficState
from bluegreen.rollout.stages import Analyse, Gate, Pause, Stage
from bluegreen.settings import Settings


def way(move: Move) -> Way:
    """The move as a document has it."""
    legs = tuple(_leg(leg) for leg in move.legs)
    judged = bool(move.rollouts)
    around = [each for each in (move.before, move.after) if each is not None and judged]
    also = [f"{end.app}: a move that was cut short goes back to {end.origin} first" for end in move.ended]
    also += [f"{app}: the hold is released, because the config agrees with it" for app, _ in move.released]
    also += [
        f"{app}: the target of {colour} goes, because it has no block any more" for app, _, colour in move.leftover
    ]
    return Way(
        legs=legs,
        before=_analysis(move.before) if move.before is not None and judged else "",
        after=_analysis(move.after) if move.after is not None and judged else "",
        seconds=sum(leg.seconds for leg in legs) + sum(each.duration.total_seconds() for each in around),
        also=tuple(also),
    )


def recorded(settings: Settings, traffic: TrafficState) -> Mapping[str, Split]:
    """What the gateway had when the last update ended, for whoever cannot ask it."""
    found = dict[str, Split]()
    for app, lane in settings.lanes().items():
        weights = traffic.weights.get(app, {})
        live = traffic.live.get(app)
        slots = {
            colour: Slot(
                colour,
                lane.addresses.get(colour, ""),
                weight,
                release=traffic.releases.get(app) if colour == live else None,
            )
            for colour, weight in weights.items()
        }
        found[app] = Split(lane.upstream, slots)
    return found


def _leg(leg: rollout.Leg) -> Leg:
    # Only a rollout takes its steps; every other kind goes at once.
    shown = tuple(str(stage) for stage in leg.stages)
    seconds = sum(_seconds(stage) for stage in leg.stages)
    return Leg(app=leg.app, kind=leg.kind, origin=leg.origin, goal=leg.goal, stages=shown, seconds=seconds)


def _analysis(analysis: Analysis) -> str:
    return str(Analyse(analysis))


def _seconds(stage: Stage) -> float:
    match stage:
        case Pause(span):
            return span.total_seconds()
        case Gate(timeout):
            return timeout.total_seconds()
        case Analyse(analysis):
            return analysis.duration.total_seconds()
    return 0.0
