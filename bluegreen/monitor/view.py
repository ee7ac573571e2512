"""A watch on a terminal: one screen that fits, whatever its size. Pure: a picture in, a renderable out.

No colour is the only sign of anything: a request that went wrong is a cross, one without an answer a dot, levels and
verdicts are words. What does not fit is counted. It deliberately scrolls nothing and asks for no key.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.cells import cell_len
from rich.console import Group, JustifyMethod
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
HEADS = ("endpoint", "way", "last", "p50", "p95", "errors", "trend")
NUMBERS = ("last", "p50", "p95", "errors")
SPARED = ("trend", "p50", "p95")  # in this order, where a terminal is narrow
WIDE = 100  # columns from which on there is room for words
NAME = 6  # columns of an endpoint's name at least
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
    which, how = f"release {picture.release}", f"{gone} gone, {left} left · round {picture.rounds}{skipped}"
    said = f"{stack} · {which} · {how}"
    return cut(Text(said if cell_len(said) <= width else f"{stack} · {how}", style="bold"), width)


def _verdict(picture: Picture, width: int) -> Text:
    so_far, decision = picture.so_far, picture.verdict.decision
    why = picture.failed or (decision.sentence if decision is not None else "not judged yet")
    doing = f"{picture.doing} · " if picture.doing else ""
    said = Text.assemble("verdict so far: ", (so_far, STYLES.get(so_far, "default")), f" · {doing}{why}")
    return cut(said, width)


def _table(picture: Picture, rows: Sequence[Row], width: int, *, ascii_only: bool) -> Table:
    silent = "no answer" if width >= WIDE else "none"
    cells = [_cells(picture, row, silent) for row in rows]
    columns, gap = _columns(cells, width)
    widths = {head: _widest(head, cells) for head in columns}
    others = sum(widths.values()) - widths["endpoint"] + gap * len(columns)
    widths["endpoint"] = max(NAME, min(widths["endpoint"], width - others))
    graph = max(0, min(SHOWN, width - widths["endpoint"] - others - (2 - gap)))
    table = Table(box=None, header_style="dim", padding=(0, gap, 0, 0), pad_edge=False, expand=False)
    for head in columns:
        side: JustifyMethod = "right" if head in NUMBERS else "left"
        table.add_column(head, justify=side, no_wrap=True, overflow="ellipsis", width=widths[head])
        if head == "way" and graph >= LEAST_SPARK:
            table.add_column(f"last {SHOWN}" if graph >= 7 else "", no_wrap=True, overflow="crop", width=graph)
    for row, each in zip(rows, cells, strict=True):
        texts = {head: Text(each[head]) for head in columns}
        texts["endpoint"] = Text(_named(row.endpoint, widths["endpoint"]))
        if row.errors:
            texts["errors"].stylize("bold red")
        if "trend" in texts and each["trend"].startswith("worse"):
            texts["trend"].stylize("yellow")
        graphed = [spark(row, graph, ascii_only=ascii_only)] if graph >= LEAST_SPARK else []
        told = list(texts.values())
        table.add_row(*told[:2], *graphed, *told[2:])
    return table


def _columns(cells: Sequence[Mapping[str, str]], width: int) -> tuple[Sequence[str], int]:
    """Which columns there are, and how many blanks between them: an endpoint that cannot be told is told in vain."""
    for left_out in range(len(SPARED) + 1):
        columns = [head for head in HEADS if head not in SPARED[:left_out]]
        if sum(_widest(head, cells) + 2 for head in columns) <= width:
            return columns, 2
    return columns, 1


def _widest(head: str, cells: Sequence[Mapping[str, str]]) -> int:
    return max([cell_len(head), *(cell_len(each[head]) for each in cells)])


def _named(name: str, width: int) -> str:
    """A name that is too long loses its middle: what begins alike often ends otherwise."""
    if cell_len(name) <= width:
        return name
    head = width // 2
    return f"{name[:head]}…{name[len(name) - (width - head - 1) :]}"


def _cells(picture: Picture, row: Row, silent: str) -> Mapping[str, str]:
    times, last = row.recent(SHOWN), row.last
    said = "" if last is None else silent if last.status is None else f"{last.status}" if last.fault else ""
    role = picture.role(row)
    return {
        "endpoint": row.endpoint,
        "way": row.way if role == "users" else f"{row.way} {role}",
        "last": said or number(last.ms if last else None),
        "p50": number(percentile(times, 50) if times else None),
        "p95": number(percentile(times, 95) if times else None),
        "errors": f"{row.errors}/{row.asked}",
        "trend": str(picture.trend(row)) if role != "idle" else "",
    }


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
