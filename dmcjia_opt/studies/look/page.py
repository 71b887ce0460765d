"""The shell of every report: one HTML file with its style, its script and plotly inside, and nothing fetched.

Functions here return HTML that is safe to print: whatever text they are given is escaped.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Literal, NewType

from dmcjia_opt.base.machine import __version__

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

#: HTML whose text has been escaped.
Html = NewType("Html", str)
Tone = Literal["", "good", "bad", "muted", "text"]

_ASSETS = files("dmcjia_opt.studies.look")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Parameters
    ----------
    text
        What is printed.
    sort
        The number by which the column is sorted; the text where it is None.
    tone
        How it stands out; ``"text"`` is for sentences, which may wrap.
    fill
        Background colour, such as ``"rgb(0, 34, 78)"``; the text is then set in black or white, whichever is clearer.
    hint
        What is shown when the pointer rests on it.
    """

    text: str
    sort: float | None = None
    tone: Tone = ""
    fill: tuple[int, int, int] | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend: the traces of legend group `name` are hidden when it is clicked."""

    name: str
    colour: str
    dash: str = "solid"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what follows it."""

    title: str
    blocks: tuple[Html, ...]


def text(sentence: str) -> Html:
    """Return a paragraph."""
    return Html(f"<p>{escape(sentence)}</p>")


def lead(sentence: str) -> Html:
    """Return a paragraph set larger: the answer before the evidence."""
    return Html(f'<p class="lead">{escape(sentence)}</p>')


def empty(why: str) -> Html:
    """Return the sentence that stands where there is nothing to show."""
    return Html(f'<p class="empty">{escape(why)}</p>')


def heading(title: str) -> Html:
    """Return a heading inside a section."""
    return Html(f"<h3>{escape(title)}</h3>")


def bullets(items: Sequence[str]) -> Html:
    """Return a list of sentences."""
    return Html("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>")


def code(lines: str) -> Html:
    """Return lines to be typed."""
    return Html(f"<pre><code>{escape(lines)}</code></pre>")


def table(head: Sequence[str], rows: Sequence[Sequence[Cell | str]], caption: str, *, tall: bool = False) -> Html:
    """Return a table that a click on a heading sorts, and that scrolls where the page is narrow.

    Parameters
    ----------
    head
        Names of the columns; the first column is set flush left.
    rows
        Cells, or plain texts.
    caption
        What it shows and how to read it.
    tall
        Scroll inside the table when it is longer than a screen.
    """
    parts = [f'<div class="scroll{" tall" if tall else ""}"><table><caption>{escape(caption)}</caption><thead><tr>']
    parts += [f'<th scope="col"><button type="button">{escape(name)}</button></th>' for name in head]
    parts.append("</tr></thead><tbody>")
    for row in rows:
        parts.append("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>")
    parts.append("</tbody></table></div>")
    return Html("".join(parts))


def facts(pairs: Sequence[tuple[str, str]]) -> Html:
    """Return names with their values."""
    body = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return Html(f'<dl class="facts">{body}</dl>')


def figure(drawing: Figure, title: str, how_to_read: str, keys: Sequence[Key] = ()) -> Html:
    """Return a plot with its title, one sentence on how to read it, and a legend that wraps where the page is narrow.

    The script gives it the colours of the page, so `drawing` sets none for text, axes and background.
    """
    # A "<" inside the script could end it.
    spec = json.dumps({"data": [], "layout": {}} | json.loads(str(drawing.to_json()))).replace("<", "\\u003c")
    items = "".join(
        f'<button type="button" data-key="{escape(key.name)}"><svg width="26" height="10" aria-hidden="true">'
        f'<line x1="1" x2="25" y1="5" y2="5" stroke="{escape(key.colour)}" stroke-width="3" '
        f'stroke-dasharray="{_DASHES[key.dash]}"/></svg>{escape(key.name)}</button>'
        for key in keys
    )
    legend = f'<div class="legend">{items}</div>' if items else ""
    height = drawing.layout.height or 420
    return Html(
        f"<figure><h3>{escape(title)}</h3><figcaption>{escape(how_to_read)}</figcaption>{legend}"
        f'<div class="plot" style="height:{height:.0f}px"></div>'
        f'<script type="application/json">{spec}</script></figure>'
    )


def choice(label: str, panels: Mapping[str, Html], first: str = "") -> Html:
    """Return panels of which one is shown at a time, chosen by name, `first` at first; no chooser for only one."""
    if len(panels) == 1:
        return next(iter(panels.values()))
    shown = first or next(iter(panels))
    options = "".join(f"<option{' selected' if name == shown else ''}>{escape(name)}</option>" for name in panels)
    bodies = "".join(f"<div{'' if name == shown else ' hidden'}>{panel}</div>" for name, panel in panels.items())
    return Html(f'<div class="choice"><label>{escape(label)} <select>{options}</select></label>{bodies}</div>')


def page(title: str, subtitle: str, sections: Sequence[Section]) -> Html:
    """Return the whole file."""
    from plotly.offline import get_plotlyjs

    named = list(zip(_anchors([section.title for section in sections]), sections, strict=True))
    contents = "".join(f'<li><a href="#{anchor}">{escape(section.title)}</a></li>' for anchor, section in named)
    body = "".join(
        f'<section id="{anchor}"><h2>{escape(section.title)}</h2>{"".join(section.blocks)}</section>'
        for anchor, section in named
    )
    style, script = (_ASSETS.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return Html(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body><header><h1>{escape(title)}</h1>"
        f"<p>{escape(subtitle)}</p></header><nav><ol>{contents}</ol></nav><main>{body}</main>"
        f"<footer>Written by dmcjia_opt {escape(__version__)}. This file needs no network.</footer>\n"
        f"<script>{get_plotlyjs()}</script>\n<script>{script}</script></body></html>\n"
    )


_DASHES = {"solid": "none", "dash": "6 4", "dot": "2 3", "dashdot": "6 3 2 3"}


def _cell(cell: Cell | str) -> str:
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    attributes = ""
    if cell.sort is not None:
        attributes += f' data-sort="{float(cell.sort)!r}"'
    if cell.tone:
        attributes += f' class="{cell.tone}"'
    if cell.hint:
        attributes += f' title="{escape(cell.hint)}"'
    if cell.fill is not None:
        red, green, blue = cell.fill
        ink = "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#fff"
        attributes += f' style="background:rgb({red},{green},{blue});color:{ink}"'
    return f"<td{attributes}>{escape(cell.text)}</td>"


def _anchors(titles: Sequence[str]) -> list[str]:
    seen: dict[str, itertools.count[int]] = {}
    anchors = []
    for title in titles:
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        number = next(seen.setdefault(slug, itertools.count(1)))
        anchors.append(slug if number == 1 else f"{slug}-{number}")
    return anchors
