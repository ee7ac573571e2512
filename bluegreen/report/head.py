"""What somebody sees first: how the release stands in one word, and the few numbers that everybody asks for."""

from dataclasses import dataclass

from bluegreen.report.said import amount, lasted
from bluegreen.report.section import SIGNS, Mark
from bluegreen.report.story import Standing, Story

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
    return WORDS[story.standing][1]


def sign(story: Story) -> str:
    return SIGNS[mark(story)]


def figures(story: Story) -> tuple[Figure, ...]:
    """Detection, way back, requests of users, probes, and how much traffic was on it."""
    moves = [each for each in story.moves if each.way != "repair"]
    found = [*_times(story), *_counts(story)]
    if moves:
        found.append(
            Figure("Highest share", f"{max(each.highest for each in moves)} %", "of users' traffic on the candidate")
        )
    return tuple(found)


def _times(story: Story) -> list[Figure]:
    told = []
    noticed = next((each for each in reversed(story.moves) if each.detected is not None), None)
    back = next((each for each in reversed(story.moves) if each.back is not None), None)
    if noticed is not None and noticed.detected is not None:
        told.append(Figure("Noticed after", lasted(noticed.detected), "from the first users on it to the verdict"))
    if back is not None and back.back is not None:
        told.append(Figure("Back after", lasted(back.back), "from the verdict to the proof"))
    last = story.moves[-1] if story.moves else None
    if back is None and last is not None and last.ended is not None:
        told.append(Figure("Took", lasted((last.ended - last.began).total_seconds()), "from first to last write"))
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
