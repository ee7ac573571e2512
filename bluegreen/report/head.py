"""What somebody sees first: how the release stands in one word, and the few numbers that everybody asks for."""

from dataclasses import dataclass

from bluegreen.page.section import SIGNS, Mark
from bluegreen.report.said import amount, lasted
from bluegreen.report.story import AppTold, Standing, Story
from bluegreen.report.verdict import failing

WORDS: dict[Standing, tuple[str, Mark]] = {
    "shipped": ("Shipped", "good"),
    "caught": ("Caught", "bad"),
    "stopped": ("Stopped", "look"),
    "rolledBack": ("Rolled back", "look"),
    "failed": ("Somebody has to look", "bad"),
    "unfinished": ("No end in the record", "look"),
    "empty": ("Nothing recorded", "none"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with what it is and what it is of."""

    label: str
    value: str
    note: str = ""


def word(story: Story) -> str:
    return WORDS[story.standing][0]


def mark(story: Story) -> Mark:
    shipped = story.standing == "shipped" and story.moves
    return "bad" if shipped and failing(story.moves[-1], story.monitors) else WORDS[story.standing][1]


def sign(story: Story) -> str:
    return SIGNS[mark(story)]


def figures(story: Story) -> tuple[Figure, ...]:
    """Detection, way back, requests of users, probes, and how much traffic was on it."""
    moves = [each for each in story.moves if each.way not in ("repair", "rollback")]
    found = [*_times(story), *_counts(story)]
    if moves:
        found.append(
            Figure("Highest share", f"{max(each.highest for each in moves)} %", "of an app's traffic on the candidate")
        )
    return tuple(found)


def origin(story: Story, app: AppTold) -> str:
    """The colour that an app came from; `nothing` only where a move says that it was its first."""
    first = any(leg.app == app.app and leg.way == "first" for each in story.moves for leg in each.legs)
    return app.origin or ("nothing" if first else "not known")


def traffic(app: AppTold) -> str:
    """`green 5 %, blue 95 %`, and who has nothing is not named."""
    return (
        ", ".join(f"{colour} {weight} %" for colour, weight in sorted(app.weights.items()) if weight)
        or "nothing written down"
    )


def _times(story: Story) -> list[Figure]:
    """Of the last move, which is the one that the sentence tells."""
    told = list[Figure]()
    last = next((each for each in reversed(story.moves) if each.way != "repair"), None)
    if last is None:
        return told
    if last.detected is not None:
        told.append(Figure("Noticed after", lasted(last.detected), "from the first users on it to the verdict"))
    if last.back is not None:
        told.append(Figure("Back after", lasted(last.back), "from the verdict to the proof that nobody is on it"))
    elif last.ended is not None:
        what = "The rollback took" if last.way == "rollback" else "The release took"
        told.append(Figure(what, lasted((last.ended - last.began).total_seconds()), "from its beginning to its end"))
    return told


def _counts(story: Story) -> list[Figure]:
    told = []
    probed = [each for each in story.counted if each.judged]
    asked = [each for each in story.counted if each.users]
    for rows, label, none in (
        (asked, "Users' requests failed", "nobody counted them"),
        (probed, "Probes of it failed", ""),
    ):
        n, failed = sum(each.n for each in rows), sum(each.failed for each in rows)
        if rows:
            share = amount(100 * failed / n, "%") if n else "–"
            told.append(Figure(label, f"{failed:,}", f"of {n:,} counted, {share}"))
        elif none:
            told.append(Figure(label, "not measured", none))
    return told
