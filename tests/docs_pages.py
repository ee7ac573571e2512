"""What README and docs show to be typed: every command line of theirs, and when one of them counts as run.

A line of a fence was run when its very words were, `bin/` and the stack's name aside; code in the running text when a
command had its words in their order, because it mostly names a verb. Deliberately not here: running anything.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
SET = re.compile(r"\w+=(?:\"[^\"]*\"|\S+) ")
OURS = re.compile(rf"(?:{SET.pattern})*((?:bin/)?bluegreen|make|pulumi|(?:\.venv/bin/)?python3? -m) (?=[\w\[.-])")
# What else a page may ask somebody to type.
OTHERS = re.compile(
    r"(?:git|gh|eval|export|cp|mv|cd|sh|bash|curl|docker|psql|brew|npm|pip|uv|go|deck|railway|supabase) \S|\$\("
)
SHELL = ("", "sh", "bash", "shell", "console")

WHY = "as the page says"
# Words of a page that are others here: what a reader fills in, and how long is looked.
INSTEAD = (
    (r"(bluegreen \S+) (?:sandbox|staging|STACK)\b", r"\1 production"),
    (r"--stack (?:sandbox|S|STACK)\b", "--stack production"),
    (r"--reason …", f'--reason "{WHY}"'),
    (r"\b5m 30s\b", "3s 1s"),
    (r"--listen 9115\b", "--listen 0"),
    (r"--guard 15\b", "--guard 1"),
    (r"--release 631c\b", "--release NEWEST"),
    (r"/tmp/live.yaml", "../live.yaml"),
    (r"migrations/FILE/", "migrations/011_team_collaboration_foundation/"),
    (r"https://hooks\.slack\.com/…", "https://hooks.slack.com/T0"),
)
OPTIONAL = re.compile(r"\[[^]]*\]…?")
FILLED_IN = re.compile(r"[A-Z][A-Z_.]*|<[\w|-]+>|.*(?:…|\b[A-Z][A-Z_]{3,}\b).*")
ONE_STACK = {"--stack", "production", "S", "STACK", "sandbox"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One command line as a page shows it; `block` counts the page's fences, and is 0 in the running text."""

    where: str
    text: str
    block: int = 0

    @property
    def words(self) -> list[str]:
        """Without prompt, comment and the brackets around what may be left out."""
        return split(re.sub(r"\[=\w+\]|\]…|[\[\]]", " ", self.bare))

    @property
    def bare(self) -> str:
        """Without its comment."""
        return re.sub(r"(?:^|\s)#\s.*", "", self.text).replace("\\|", "|").strip()

    @property
    def choice(self) -> bool:
        """Whether it is no command but several in one: what may be left out, or one of these."""
        return "[" in self.bare or " | " in self.bare

    @property
    def runnable(self) -> str:
        """As it can be run here."""
        text = self.bare
        for pattern, instead in INSTEAD:
            text = re.sub(pattern, instead, text)
        return text


def shown(text: str, where: str) -> Iterator[Shown]:
    """Every command in a page: each line of a fence that is one, and code in the running text."""
    for number, (kind, block) in enumerate(FENCE.findall(text), 1):
        prompted = re.search(r"^\$ ", block, re.MULTILINE) is not None
        for line in lines(block) if kind in SHELL else ():
            bare = line.strip().removeprefix("$ ")
            if line.startswith("$ ") or (not prompted and command(bare)):
                yield Shown(where, bare, number)
    for code in INLINE.findall(FENCE.sub("", text)):
        if command(code):
            yield Shown(where, code)


def lines(block: str) -> list[str]:
    """A fence's lines; one goes on after a backslash, and deeply indented."""
    return re.sub(r"\\\n\s*|\n {8,}", " ", block).splitlines()


def command(text: str) -> bool:
    return OURS.match(f"{text} ") is not None or OTHERS.match(text) is not None


def split(text: str) -> list[str]:
    """Its words as a shell has them, also where quotes are left open."""
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def key(text: str) -> tuple[str, ...]:
    """A command's words without what is told another way: variables before it, `bin/`, and which stack."""
    while SET.match(text):
        text = SET.sub("", text, count=1)
    words = [word for word in split(text) if word not in ONE_STACK]
    return (words[0].removeprefix("bin/"), *words[1:]) if words else ()


def covered(one: Shown, ran: Sequence[tuple[str, ...]]) -> bool:
    """Whether this line is among what ran."""
    words = key(one_of(one.runnable))
    needed = [word for word in words if not FILLED_IN.fullmatch(word)]
    if one.block and not one.choice and len(needed) == len(words):
        return words in ran
    needed = [word for word in needed if word != WHY]
    return any(in_order(needed, done) for done in ran)


def one_of(text: str) -> str:
    """A line without what may be left out, and the last of what it names in each other's place."""
    return re.sub(r"\S+ \| ", "", re.sub(r"(?<=\w)\|\w+", "", OPTIONAL.sub(" ", text)))


def in_order(needed: Sequence[str], words: Sequence[str]) -> bool:
    rest = iter(words)
    return all(any(word == each for each in rest) for word in needed)
