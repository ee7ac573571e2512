"""A watch on a terminal: one screen that fits, whatever its size. Pure: a picture in, a renderable out.

No colour is the only sign of anything: a request that went wrong is a cross, one without an answer a dot, levels and
verdicts are words. What does not fit is counted. It deliberately scrolls nothing and asks for no key.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bluegreen.gateway import Split
from bluegreen.monitor.end import span
from bluegreen.monitor.picture import Picture
from bluegreen.monitor.plain import number
from bluegreen.monitor.row import SHOWN, Row, percentile
from bluegreen.spec import COLOURS

BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.-:=+*#"
WRONG, SILENT = "×", "·"
LEAST_SPARK = 8
STYLES = {"pass": "green", "fail": "bold red", "error": "bold red", "inconclusive": "yellow", "none yet": "default"}
LEVELS = {"critical": "bold red", "warning": "yellow", "info": "default"}
FRAME = 6  # lines beside rows, weights and alerts: header, verdict, blanks, the table's head
ALERTS = 4


def screen(picture: Picture, now: datetime, width: int, height: int, *, ascii_only: bool = False) -> Group:
    """Everything, in so many columns and lines; one line stays free, or a terminal would scroll."""
    alerts = picture.alarms.open[:ALERTS]
    weights = list(_weights(picture, width, ascii_only=ascii_only))
    notes = picture.notes[:1] if height >= 30 else []
    space = height - 1 - FRAME - len(alerts) - len(weights) - len(notes)
    rows = list(picture.sorted())
    shown = rows if len(rows) <= max(1, space) else rows[: max(1, space - 1)]
    below = [Text(f"… and {len(rows) - len(shown)} more", style="dim")] if len(shown) < len(rows) else []
    return Group(
        _header(picture, now, width),
        _verdict(picture, width),
        Text(),
        _table(picture, shown, width, ascii_only=ascii_only),
        *below,
        Text(),
        *weights,
        *_alerts(picture, alerts, width),
        *(cut(Text(note, style="dim"), width) for note in notes),
    )


def spark(row: Row, width: int, *, ascii_only: bool = False) -> Text:
    """The last answers, oldest first: heights are of the slowest shown, a cross went wrong, a dot did not answer."""
    beats = list(row.beats)[-min(SHOWN, width) :]
    most = max((beat.ms for beat in beats if beat.ms is not None and not beat.fault), default=0.0)
    signs = ASCII if ascii_only else BLOCKS
    told = Text()
    for beat in beats:
        if beat.status is None:
            told.append("." if ascii_only else SILENT, style="bold red")
        elif beat.fault:
            told.append("x" if ascii_only else WRONG, style="bold red")
        else:
            level = (beat.ms or 0.0) / most if most else 0.0
            told.append(signs[min(len(signs) - 1, int(level * len(signs)))])
    return told


def cut(text: Text, width: int) -> Text:
    """One line, at most so wide."""
    text = text.copy()
    text.truncate(width, overflow="ellipsis")
    text.no_wrap = True
    return text


def _header(picture: Picture, now: datetime, width: int) -> Text:
    stack = picture.owner.rpartition(".")[2]
    left, gone = span(picture.left(now)), span(min(picture.elapsed(now), picture.wish.duration))
    skipped = f" ({picture.skipped} skipped)" if picture.skipped else ""
    said = f"{stack} · release {picture.release} · {gone} gone, {left} left · round {picture.rounds}{skipped}"
    return cut(Text(said, style="bold"), width)


def _verdict(picture: Picture, width: int) -> Text:
    so_far, decision = picture.so_far, picture.verdict.decision
    why = picture.failed or (decision.sentence if decision is not None else "not judged yet")
    doing = f"{picture.doing} · " if picture.doing else ""
    said = Text.assemble("verdict so far: ", (so_far, STYLES.get(so_far, "default")), f" · {doing}{why}")
    return cut(said, width)


def _table(picture: Picture, rows: Sequence[Row], width: int, *, ascii_only: bool) -> Table:
    cells = [_cells(picture, row) for row in rows]
    heads = ("endpoint", "way", "last", "p50", "p95", "errors", "trend")
    widths = [max([cell_len(head), *(cell_len(each[at]) for each in cells)]) for at, head in enumerate(heads)]
    room = width - sum(widths) - 2 * len(heads)  # two blanks between columns
    if room < LEAST_SPARK:
        widths[0] = max(8, widths[0] - (LEAST_SPARK - room))
        room = width - sum(widths) - 2 * len(heads)
    graph = max(0, min(SHOWN, room))
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False, expand=False)
    for at, head in enumerate(heads):
        table.add_column(
            head, justify="right" if 2 <= at <= 5 else "left", no_wrap=True, overflow="ellipsis", width=widths[at]
        )
        if at == 1 and graph >= LEAST_SPARK:
            table.add_column(f"last {SHOWN}" if graph >= 7 else "", no_wrap=True, overflow="crop", width=graph)
    for row, each in zip(rows, cells, strict=True):
        texts = [Text(cell) for cell in each]
        if row.errors:
            texts[5].stylize("bold red")
        if each[6].startswith("worse"):
            texts[6].stylize("yellow")
        graphed = [spark(row, graph, ascii_only=ascii_only)] if graph >= LEAST_SPARK else []
        table.add_row(texts[0], texts[1], *graphed, *texts[2:])
    return table


def _cells(picture: Picture, row: Row) -> list[str]:
    times, last = row.recent(SHOWN), row.last
    said = "" if last is None else "no answer" if last.status is None else f"{last.status}" if last.fault else ""
    role = picture.role(row)
    return [
        row.endpoint,
        row.way if role == "users" else f"{row.way} {role}",
        said or number(last.ms if last else None),
        number(percentile(times, 50) if times else None),
        number(percentile(times, 95) if times else None),
        f"{row.errors}/{row.asked}",
        str(picture.trend(row)) if role != "idle" else "",
    ]


def _weights(picture: Picture, width: int, *, ascii_only: bool) -> Iterator[Text]:
    if picture.sight.unread:
        said = f"Kong's Admin API: {picture.sight.unread}"
        yield cut(Text(said, style="yellow"), width)
    for app, split in sorted(picture.sight.splits.items()):
        yield cut(_bar(app, split, width, ascii_only=ascii_only), width)


def _bar(app: str, split: Split, width: int, *, ascii_only: bool) -> Text:
    size = max(4, min(20, width // 8))
    line = Text(f"{app} ")
    for colour in COLOURS:
        slot = split.slots.get(colour)
        if slot is None:
            continue
        full = round(size * slot.weight / 100)
        line.append(f" {colour} ", style=f"bold {colour}" if slot.weight else "dim")
        line.append(("#" if ascii_only else "█") * full, style=colour)
        line.append(("-" if ascii_only else "░") * (size - full), style="dim")
        line.append(f" {slot.weight} % ")
    if split.hold is not None:
        line.append(f" held by {split.hold.by}: {split.hold.reason}", style="yellow")
    elif any(slot.move for slot in split.slots.values()):
        line.append(" a move is under way", style="yellow")
    return line


def _alerts(picture: Picture, alerts: Sequence[object], width: int) -> Iterator[Text]:
    shown = picture.alarms.open[: len(alerts)]
    for each in shown:
        since = f" since {each.at:%H:%M:%S}: {each.subject}: {each.text}"
        said = Text.assemble((each.level, LEVELS[each.level]), since)
        yield cut(said, width)
    more = len(picture.alarms.open) - len(shown)
    if not shown and (told := picture.alarms.all):
        last = told[-1]
        how = "resolved" if last.resolved and last.level != "info" else last.level
        yield cut(Text(f"no alert is open; last, {how}: {last.subject}: {last.text}", style="dim"), width)
    if more > 0:
        yield Text(f"… and {more} more alerts", style="dim")
