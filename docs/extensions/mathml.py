"""Mathematics as MathML: browsers typeset it by themselves, so that no page needs a script or a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.application import Sphinx
    from sphinx.writers.html import HTML5Translator


def inline(translator: HTML5Translator, node: Element) -> None:
    """Write a formula in a line."""
    translator.body.append(convert(node.astext()))
    raise SkipNode


def display(translator: HTML5Translator, node: Element) -> None:
    """Write a formula that stands by itself; where it is wider than the page it scrolls."""
    translator.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the renderer known."""
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
