"""The shell of every report: one HTML file with its style, its script and plotly inside, and nothing fetched.

Templates lie beside the code that fills them; whatever text they print is escaped.
"""

from __future__ import annotations

import itertools
import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from dmcjia_opt.base.machine import __version__
from dmcjia_opt.base.showing import percent
from dmcjia_opt.studies.look import words

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Tone = Literal["", "good", "bad", "muted", "text"]


class Cell(NamedTuple):
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
        Red, green and blue of the background; the text is then set in black or white, whichever is clearer.
    hint
        What is shown when the pointer rests on it.
    """

    text: str
    sort: float | None = None
    tone: Tone = ""
    fill: tuple[int, int, int] | None = None
    hint: str = ""


def data_of(drawing: Figure) -> Markup:
    """Return the content of a plot, which the script draws, as JSON."""
    content = {"data": [], "layout": {}} | json.loads(str(drawing.to_json()))
    return Markup(json.dumps(content).replace("<", "\\u003c"))  # a "<" inside the script could end it


ENVIRONMENT = Environment(
    loader=PackageLoader("dmcjia_opt.studies", ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
ENVIRONMENT.filters |= {
    "seconds": words.seconds,
    "percent": percent,
    "scientific": words.scientific,
    "number": "{:,}".format,
    "data_of": data_of,
}


def render(template: str | Template, **values: Any) -> str:  # noqa: ANN401 - whatever the template prints
    """Return the whole file that a template below ``studies`` makes of some values.

    A template extends ``look/page.html.j2`` and fills its blocks ``title``, ``subtitle`` and ``main``; it may use the
    macros of ``look/blocks.html.j2``. A name that it uses and is not given is an error.
    """
    from plotly.offline import get_plotlyjs

    contents: dict[str, str] = {}

    def anchor(title: str) -> str:
        """Return the name of a section, unlike that of any other, and list the section in the contents."""
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        names = itertools.chain([slug], (f"{slug}-{number}" for number in itertools.count(2)))
        name = next(name for name in names if name not in contents)
        contents[name] = title
        return name

    assets = files("dmcjia_opt.studies.look")
    style, script = (Markup(assets.joinpath(name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    shell = {"anchor": anchor, "contents": contents, "style": style, "script": script, "version": __version__}
    return str(ENVIRONMENT.get_template(template).render(**shell, plotly=Markup(get_plotlyjs()), **values))
