"""One chart as SVG: shapes with classes, and nothing else.

pygal places everything; what it draws is then reduced to shapes with classes, so that the page's one style sheet
colours it, in the light and in the dark and on paper. Lines differ by their dash and by the shape of their points, not
by colour alone. There is no script in it and no style, and it is drawn twice: for a desk and for a telephone.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any
from xml.etree import ElementTree

from bluegreen.report.chapter import Chapter, Moment

WIDE, NARROW = 1000, 360  # units of a drawing's width, which are pixels where it is shown as wide as that
HEIGHT = 170
LABEL = 8  # characters of a label at the left: the same in all charts of an app, or their axes would not agree
DOTS = 30  # marks of one line: more would be a bar
BETWEEN = 2.0  # pixels between two flags above a chart
SVG = "http://www.w3.org/2000/svg"
TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart; `who` and `thin` say how it looks."""

    who: str
    points: Points
    thin: bool = False
    dots: bool = True


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is to be drawn, and what it says to whoever does not see it; `top` is where its axis ends."""

    title: str
    told: str
    curves: tuple[Curve, ...]
    top: float
    label: Callable[[float], str]
    bar: float | None = None


def svg(drawing: Drawing, chapter: Chapter, width: int, key: str, *, flags: bool) -> str:
    end = max(chapter.seconds, 1.0)
    plot = _library().XY(
        js=(), css=(), width=width, height=HEIGHT + (20 if flags else 0), show_legend=False, no_prefix=True,
        disable_xml_declaration=True, include_x_axis=True, range=(0, drawing.top), xrange=(0, end), margin=2,
        margin_top=24 if flags else 8, margin_right=12, spacing=8, dots_size=3, show_x_guides=False,
        x_labels=_ticks(end, 10 if width == WIDE else 4), y_labels=[drawing.top * part for part in (0, 0.5, 1)],
        x_value_formatter=_clock, value_formatter=lambda v: drawing.label(v).rjust(LABEL), truncate_label=-1,
    )  # fmt: skip
    classes = []
    for moment in chapter.moments:
        if moment.kind != "told":
            plot.add("", [(min(moment.t, end), 0), (min(moment.t, end), drawing.top)], show_dots=False)
            classes.append(f"moment {moment.kind}{'' if moment.good is None else ' good' if moment.good else ' bad'}")
    if drawing.bar is not None:
        plot.add("", [(0, drawing.bar), (end, drawing.bar)], show_dots=False)
        classes.append("bar")
    for curve in drawing.curves:
        plot.add("", list(curve.points), show_dots=curve.dots, allow_interruptions=True)
        classes.append(f"curve {'thin ' if curve.thin else ''}{curve.who}")
    rendered = plot.render()
    root = ElementTree.fromstring(rendered if isinstance(rendered, str) else rendered.decode())
    moments = [moment for moment in chapter.moments if moment.kind != "told"] if flags else []
    return _reduced(root, drawing, key, classes, moments)


@cache
def _library() -> Any:
    """pygal, without the hook that it leaves in Python's imports: it is of an old kind, and warns each time."""
    import pygal  # type: ignore[import-untyped]

    sys.meta_path[:] = [each for each in sys.meta_path if type(each).__module__.partition(".")[0] != "pygal"]
    return pygal


def _ticks(end: float, most: int) -> list[float]:
    step = next((tick for tick in TICKS if end / tick <= most), ceil(end / most))
    return [float(number * step) for number in range(int(end // step) + 1)]


def _clock(seconds: float) -> str:
    """Since the beginning: `0`, `30 s`, `2:30`, `1:02:30`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole else "0"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _reduced(
    drawn: ElementTree.Element, drawing: Drawing, key: str, classes: Sequence[str], moments: Sequence[Moment]
) -> str:
    """The shapes alone, each with a class that the page knows."""
    root = ElementTree.Element(
        "svg",
        {
            "viewBox": drawn.get("viewBox", ""),
            "role": "img",
            "aria-labelledby": f"{key}-t {key}-d",
            "class": f"chart {'wide-one' if key.endswith('wide') else 'narrow'}",
        },
    )
    ElementTree.SubElement(root, "title", {"id": f"{key}-t"}).text = drawing.title
    ElementTree.SubElement(root, "desc", {"id": f"{key}-d"}).text = drawing.told
    flagged = list[float]()
    for plot in (part for part in drawn.iter(f"{{{SVG}}}g") if (part.get("class") or "").split()[:1] == ["plot"]):
        kind = (plot.get("class") or "").split()
        if kind not in (["plot"], ["plot", "overlay"]):
            continue
        group = ElementTree.SubElement(root, "g", {"transform": plot.get("transform", "")})
        for part in plot:
            flagged += _part(part, group, classes, overlay="overlay" in kind)
        if kind == ["plot", "overlay"]:
            _flags(group, list(zip(flagged, moments, strict=False)))
    return ElementTree.tostring(root, encoding="unicode")


def _part(
    part: ElementTree.Element, group: ElementTree.Element, classes: Sequence[str], *, overlay: bool
) -> list[float]:
    """One group of pygal's; the places of its moments along the axis."""
    names = (part.get("class") or "").split()
    if names[:1] == ["axis"]:
        axis = ElementTree.SubElement(group, "g", {"class": f"axis {names[1]}"})
        for shape in part.iter():
            _copied(shape, axis)
    if names[:1] != ["series"]:
        return []
    look = classes[int(names[1].removeprefix("serie-"))]
    series = ElementTree.SubElement(group, "g", {"class": f"dots {look.split()[-1]}" if overlay else look})
    if overlay:
        dots = list(part.iter(f"{{{SVG}}}circle"))
        every = ceil(len(dots) / DOTS) or 1
        for shape in dots[every // 2 if look.endswith("green") else 0 :: every]:  # beside blue's, not upon them
            _dot(series, look.split()[-1], float(shape.get("cx", 0)), float(shape.get("cy", 0)))
    for shape in part.iter():
        if not overlay and shape.tag == f"{{{SVG}}}path":
            ElementTree.SubElement(series, "path", {"d": _rounded(shape.get("d", ""))})
    paths = [shape.get("d", "") for shape in part.iter(f"{{{SVG}}}path")]
    return [float(paths[0][1:].split()[0])] if look.startswith("moment") and paths and not overlay else []


def _copied(shape: ElementTree.Element, group: ElementTree.Element) -> None:
    name = shape.tag.removeprefix(f"{{{SVG}}}")
    if name == "path":
        ElementTree.SubElement(group, "path", {"d": _rounded(shape.get("d", ""))})
    elif name == "text":
        place = {at: f"{float(shape.get(at, 0)):.1f}" for at in ("x", "y")}
        ElementTree.SubElement(group, "text", place).text = (shape.text or "").strip()


def _rounded(path: str) -> str:
    return " ".join(_short(part) for part in path.split())


def _short(part: str) -> str:
    sign, number = (part[0], part[1:]) if part[0].isalpha() else ("", part)
    return f"{sign}{float(number):.1f}".replace(".0", "") if number else sign


def _dot(series: ElementTree.Element, who: str, x: float, y: float) -> None:
    """A circle for blue, a square for green, a triangle for users."""
    size = 3.2
    if who == "blue":
        ElementTree.SubElement(series, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "3"})
        return
    shape = f"M{x - size:.1f} {y - size:.1f}h{2 * size}v{2 * size}h-{2 * size}z"
    if who == "users":
        shape = f"M{x:.1f} {y - size - 1:.1f}l{size + 0.8} {2 * size}h-{2 * size + 1.6}z"
    ElementTree.SubElement(series, "path", {"d": shape})


def _flags(group: ElementTree.Element, placed: Sequence[tuple[float, Moment]]) -> None:
    """The number of each moment above its line; those too near to each other share one flag."""
    for flag in _near([_Flag(x, x, moment.number, moment.number, moment.good is False) for x, moment in placed]):
        node = ElementTree.SubElement(group, "g", {"class": "flag bad" if flag.bad else "flag"})
        x, wide = flag.middle, flag.wide
        box = {"x": f"{x - wide / 2:.1f}", "y": "-21", "width": f"{wide:.1f}", "height": "16", "rx": "8"}
        ElementTree.SubElement(node, "rect", box)
        ElementTree.SubElement(node, "text", {"x": f"{x:.1f}", "y": "-9"}).text = flag.text


@dataclass(frozen=True, slots=True)
class _Flag:
    """One or several moments that share a flag, from the first's place on the axis to the last's."""

    start: float
    end: float
    first: int
    last: int
    bad: bool

    @property
    def text(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"

    @property
    def wide(self) -> float:
        return 7.0 * len(self.text) + 8

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2

    def touches(self, other: "_Flag") -> bool:
        return other.middle - self.middle < (self.wide + other.wide) / 2 + BETWEEN

    def with_(self, other: "_Flag") -> "_Flag":
        return _Flag(self.start, other.end, self.first, other.last, self.bad or other.bad)


def _near(flags: Sequence[_Flag]) -> Sequence[_Flag]:
    """The same with those that touch made one, which may then touch the one before."""
    apart: list[_Flag] = []
    for each in flags:
        flag = each
        while apart and apart[-1].touches(flag):
            flag = apart.pop().with_(flag)
        apart.append(flag)
    return apart
