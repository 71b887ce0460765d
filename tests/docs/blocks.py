"""The code blocks of a page, and how each is run.

A comment before a block says what a reader sees from the text around it:

``<!-- file: NAME -->``
    The block is the content of a file, which later blocks use.
``<!-- prints -->``
    The block is what the Python before it prints.
``<!-- not run: REASON -->``
    The block needs what a test has not.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "examples" / "README.md")
)
_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>(?:file|prints|not run)[^\n]*?) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"-?[\d,]*\.?\d+(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its lines, and the comment before it."""

    language: str
    code: str
    mark: str
    line: int


@dataclass(frozen=True)
class Command:
    """A line after ``$``, and what the page shows below it."""

    words: tuple[str, ...]
    shown: str


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page that have a language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(found["language"], found["code"], found["mark"] or "", text[: found.start()].count("\n") + 1)
        for found in _BLOCK.finditer(text)
    ]


def commands(code: str) -> list[Command]:
    """Return the commands of a console block."""
    found: list[tuple[str, list[str]]] = []
    for line in code.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [Command(tuple(shlex.split(line, comments=True)), "\n".join(shown)) for line, shown in found]


def missing(shown: str, printed: str) -> list[str]:
    """Return the lines of `shown` that `printed` has not, numbers within 2 %; spaces and line breaks do not matter.

    Lines that begin with ``cost`` hold times, which differ everywhere; ``[…]`` stands for lines left out.
    """
    words = printed.split()
    return [
        line
        for line in shown.splitlines()
        if line.strip() and not line.startswith(("cost", "[…]", "gap")) and not _within(line.split(), words)
    ]


def _within(words: list[str], printed: list[str]) -> bool:
    return any(
        all(_alike(word, other) for word, other in zip(words, printed[k : k + len(words)], strict=True))
        for k in range(len(printed) - len(words) + 1)
    )


def _alike(word: str, other: str) -> bool:
    if word == other:
        return True
    if _NUMBER.sub("#", word) != _NUMBER.sub("#", other):
        return False
    numbers = [[float(found.replace(",", "")) for found in _NUMBER.findall(text)] for text in (word, other)]
    return all(abs(a - b) <= 0.02 * abs(a) or max(abs(a), abs(b)) < 1e-9 for a, b in zip(*numbers, strict=True))
