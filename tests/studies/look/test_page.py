"""The shell of a report: what is printed is escaped, and nothing is fetched."""

import re

import plotly.graph_objects as go
import pytest

from dmcjia_opt.studies.look.page import Cell, Key, Section, bullets, choice, figure, page, table, text

NASTY = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def whole():
    drawing = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name=NASTY))
    blocks = (
        text(NASTY),
        bullets([NASTY]),
        table([NASTY, "n"], [[Cell(NASTY, hint=NASTY), Cell("2", sort=2.0)]], NASTY),
        figure(drawing, NASTY, NASTY, [Key(NASTY, "#000000")]),
        choice(NASTY, {NASTY: text("a"), "b": text("b")}),
    )
    return page(NASTY, NASTY, [Section(NASTY, blocks), Section(NASTY, ())])


def test_every_name_is_escaped(whole):
    assert NASTY not in whole
    assert whole.count("&lt;script&gt;alert") >= 10
    assert "\\u003cscript>alert" in whole  # inside the plot's data, where a tag could end the script


def test_nothing_is_fetched(whole):
    markup = re.sub(r"<script.*?</script>", "", whole, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!#|data:)', markup)
    assert "@import" not in markup
    assert "url(" not in markup
    assert len(whole) > 1_000_000  # plotly is inside


def test_sections_of_one_title_have_anchors_of_their_own(whole):
    anchors = re.findall(r'<section id="([^"]+)"', whole)
    assert len(set(anchors)) == 2
    assert all(f'href="#{anchor}"' in whole for anchor in anchors)


def test_one_panel_needs_no_chooser():
    assert "<select>" not in choice("Family:", {"paper": text("a")})
