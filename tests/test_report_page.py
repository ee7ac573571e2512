"""The page of a release: self-contained, whole, readable by everybody, and unmoved by what others wrote into it."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

from bluegreen.journal import AnyEntry, Began, Decided, Ended, LegTold, Told, Weighed
from bluegreen.page.markdown import COMMENT
from bluegreen.report.chapter import Chapter, Line, Moment, Point, Weight
from bluegreen.report.charts import charts
from bluegreen.report.rendered import PAGE, TEMPLATES, html, markdown
from bluegreen.report.telling import story
from tests.report_room import Writer, after, caught, findings, material, shipped

MADE = after(7200)
HOSTILE = "a | b\n<script>alert('x')</script> `c` **d** [e](https://example.org) @someone & </details>\u202e --> ]]>"
VOID = {"meta", "link", "input", "br"}
SELF_CLOSING = {"path", "circle", "rect"}


class Page(HTMLParser):
    """Every element with its attributes, and what was not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in tags]


def page(entries: list[AnyEntry], **more: Any) -> str:
    return html(story(material(entries, **more), MADE))


CAUGHT = page(caught(), validations=[findings(), findings(bad=True)])
SHIPPED = page(shipped(), validations=[findings()])


def hostile() -> str:
    writer = Writer()
    leg = LegTold(app=HOSTILE, goal="green", origin="blue", release=HOSTILE, origin_release=HOSTILE, stages=(HOSTILE,))
    writer.note(Began(move=HOSTILE, legs=(leg,), by=HOSTILE, reason=HOSTILE, commit=HOSTILE))
    writer.note(Weighed(app=HOSTILE, weights={"blue": 50, "green": 50}, said=HOSTILE))
    writer.note(Told(text=HOSTILE, app=HOSTILE))
    writer.note(Decided(share=HOSTILE, verdict=HOSTILE, sentence=HOSTILE, because=HOSTILE))
    writer.note(Ended(verdict="rejected", text=HOSTILE * 100_000))
    findings_ = {
        "findings": [{"id": HOSTILE, "group": HOSTILE, "status": HOSTILE, "observed": HOSTILE, "hint": HOSTILE}]
    }
    changes = [(HOSTILE, HOSTILE, HOSTILE)]
    return page(writer.entries, validations=[findings_], changes=changes, broken=[HOSTILE], complaints=[HOSTILE])


def test_the_page_is_whole() -> None:
    for text in (CAUGHT, SHIPPED, hostile(), page([])):
        read = Page(text)
        assert ([], []) == (read.wrong, read.open)


def test_the_page_asks_nobody_for_anything_and_runs_nothing() -> None:
    for text in (CAUGHT, SHIPPED, hostile()):
        read = Page(text)
        assert [] == read.all("script", "iframe", "object", "img", "form", "base", "audio", "video", "use", "image")
        loads = [attributes for attributes in (a for _, a in read.found) if attributes.get("src")]
        assert [] == loads
        assert ["data:,"] == [link["href"] for link in read.all("link")]
        assert [] == [a for _, a in read.found for name in a if name.startswith("on") or name == "style"]
        assert not re.search(r"@import|url\(", text)
        [policy] = [meta["content"] for meta in read.all("meta") if meta.get("http-equiv")]
        assert policy is not None
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_links_lead_into_the_page_or_beside_it() -> None:
    read = Page(SHIPPED)
    ids = {a["id"] for _, a in read.found if a.get("id")}
    for link in read.all("a"):
        to = link["href"] or ""
        assert to.startswith(("#", "migrations/"))
        assert not to.startswith("#") or to[1:] in ids


def test_no_id_is_there_twice() -> None:
    ids = [a["id"] for _, a in Page(SHIPPED).found if a.get("id")]
    assert sorted(set(ids), key=str) == sorted(ids, key=str)


def test_what_others_wrote_stays_text() -> None:
    text = hostile()
    assert "<script" not in text
    assert "\u202e" not in text
    assert any("<script>alert('x')</script>" in each for each in Page(text).texts)
    assert len(text.encode()) < PAGE


def test_a_huge_record_makes_a_page_of_bounded_size() -> None:
    rows = [{"id": f"check-{n}", "status": "fail", "observed": "x" * 1900, "hint": "y" * 1900} for n in range(3000)]
    found = story(material(caught() * 40, validations=[{"findings": rows}]), MADE)
    text = html(found)
    assert len(text.encode()) < PAGE
    assert "more, in report.json" in text
    assert len(markdown(found)) <= COMMENT


def test_nothing_is_drawn_across_a_time_in_which_nobody_asked() -> None:
    points = tuple(Point(t=t, n=20, p50=50, p95=90) for t in (1, 2, 3, 60, 61))
    line = Line(app="backend", who="blue", points=points)
    chapter = Chapter(began=after(0), ended=after(61), lines=(line,))
    for chart in charts(chapter, "backend", "c"):
        [curve, *_] = re.findall(r'class="curve (?:thin )?blue">(.*?)</g>', chart.wide)
        assert 2 == curve.count("<path")


def test_no_two_flags_of_a_chart_lie_upon_each_other() -> None:
    moments = tuple(Moment(number=n, t=n**1.5 / 4, kind="step", text="x") for n in range(1, 40))
    weights = (Weight(app="backend", weights={"blue": 100}),)
    chapter = Chapter(began=after(0), ended=after(70), moments=moments, weights=weights)
    [chart] = charts(chapter, "backend", "c")
    for drawing in (chart.wide, chart.narrow):
        found = re.findall(r'<rect x="([\d.-]+)" y="-21" width="([\d.]+)"', drawing)
        flags = [(float(x), float(wide)) for x, wide in found]
        assert len(flags) > 3
        assert all(x + wide <= following for (x, wide), (following, _) in pairwise(flags))


def test_what_a_screen_unfolds_is_not_on_paper_and_what_failed_is() -> None:
    style = (TEMPLATES / "report.css.j2").read_text(encoding="utf-8")
    assert re.search(r"details \{ display: none }", style[style.index("@media print") :])
    paper = re.sub(r"<details.*?</details>", "", CAUGHT, flags=re.DOTALL)
    assert "What passed, check by check" in CAUGHT
    assert "What passed, check by check" not in paper
    assert "<td" in paper[paper.index("What did not pass") :]
    assert "no answer in 5 s" in paper


# For everybody


def test_the_page_says_its_language_its_title_and_fits_a_telephone() -> None:
    read = Page(CAUGHT)
    assert [{"lang": "en"}] == read.all("html")
    assert "production 5555555555555555: Caught" in CAUGHT
    assert "width=device-width, initial-scale=1" in CAUGHT
    assert "#report" == read.all("a")[0]["href"]


def test_headings_go_down_one_step_at_a_time() -> None:
    for text in (CAUGHT, SHIPPED, page([])):
        levels = [int(tag[1]) for tag, _ in Page(text).found if re.fullmatch(r"h[1-6]", tag)]
        assert (1, 1) == (levels[0], levels.count(1))
        assert all(after_ - before <= 1 for before, after_ in pairwise(levels))


def test_every_table_is_named_headed_and_can_be_reached() -> None:
    read = Page(SHIPPED)
    assert len(read.all("table")) == len(read.all("caption"))
    assert {"col", "row"} == {cell.get("scope") for cell in read.all("th")}
    regions = [a for a in read.all("div") if a.get("class") == "wide"]
    assert len(read.all("table")) == len(regions)
    assert all(a.get("role") == "region" and a.get("tabindex") == "0" and a.get("aria-label") for a in regions)


def test_every_chart_has_a_name_a_text_and_its_numbers_as_a_table() -> None:
    read = Page(SHIPPED)
    ids = {a["id"] for _, a in read.found if a.get("id")}
    charts = [a for a in read.all("svg") if "chart" in (a.get("class") or "")]
    assert charts
    for chart in charts:
        assert "img" == chart["role"]
        assert set((chart["aria-labelledby"] or "").split()) <= ids
    assert len([a for a in read.all("svg") if a.get("aria-hidden") != "true"]) == len(charts)
    assert "The same as numbers" in SHIPPED


def test_lines_differ_by_dash_and_by_shape() -> None:
    style = (TEMPLATES / "report.css.j2").read_text(encoding="utf-8")
    dashes = {
        who: re.search(rf"\.curve\.{who} path {{[^}}]*stroke-dasharray: ([^}};]+)", style)
        for who in ("blue", "green", "users")
    }
    assert (None, True, True) == (dashes["blue"], bool(dashes["green"]), bool(dashes["users"]))
    assert "<circle" in SHIPPED[SHIPPED.index('class="dots blue"') :][:200]
    assert re.search(r'class="dots green"><path d="M[^"]*h6.4v6.4', SHIPPED)


def test_how_something_stands_is_told_in_words_as_well() -> None:
    for text in (CAUGHT, SHIPPED):
        for mark, words in (("good", "in order"), ("look", "look at it"), ("bad", "not in order")):
            sections = re.findall(rf'<section id="\w+" class="{mark}".*?</h2>', text, re.DOTALL)
            assert all(words in each for each in sections)


def test_boxes_that_a_person_ticks_have_their_text() -> None:
    read = Page(CAUGHT)
    boxes = [a["id"] for a in read.all("input")]
    assert boxes == [a["for"] for a in read.all("label")]
    assert all(a["type"] == "checkbox" for a in read.all("input"))


THEMES = re.compile(r":root \{([^}]+)\}")


def test_every_colour_can_be_told_from_what_it_stands_on() -> None:
    style = (TEMPLATES / "report.css.j2").read_text(encoding="utf-8")
    themes = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", each)) for each in THEMES.findall(style)]
    assert 3 == len(themes)
    for theme in themes:
        for ground in ("paper", "card"):
            for ink in ("ink", "soft", "good", "look", "bad", "link", "blue", "green", "users"):
                assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground, theme)


def contrast(one: str, other: str) -> float:
    """As WCAG 2 counts it."""
    lights = sorted(_light(each) for each in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _light(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
