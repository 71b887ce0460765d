"""The shell of a report: what is printed is escaped, and nothing is fetched."""

import re

import plotly.graph_objects as go
import pytest
from jinja2 import UndefinedError

from dmcjia_opt.studies.look.page import ENVIRONMENT, Cell, render
from dmcjia_opt.studies.look.plots import Style

NASTY = '<script>alert("x")</script>'
SOURCE = """
{%- extends "look/page.html.j2" %}
{% from "look/blocks.html.j2" import bullets, choice, figure, section, table with context %}
{% block title %}{{ nasty }}{% endblock %}
{% block subtitle %}{{ nasty }}{% endblock %}
{% block main %}
{% call section(nasty) %}
<p>{{ nasty }}</p>
{{ bullets([nasty]) }}
{% call table([nasty, "n"], rows) %}{{ nasty }}{% endcall %}
{% call figure(drawing, nasty, legend) %}{{ nasty }}{% endcall %}
{% call(panel) choice(nasty, panels) %}{{ panel }}{% endcall %}
{% endcall %}
{% call section(nasty) %}{% endcall %}
{% endblock %}
"""


def rendered(**changes):
    values = {
        "nasty": NASTY,
        "rows": [[Cell(NASTY, hint=NASTY), Cell("2", sort=2.0)]],
        "drawing": go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name=NASTY)),
        "legend": [Style(NASTY, "#000000", "solid", "circle")],
        "panels": [(NASTY, "a"), ("b", "b")],
    }
    return render(ENVIRONMENT.from_string(SOURCE), **(values | changes))


@pytest.fixture(scope="module")
def whole():
    return rendered()


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


def test_one_panel_needs_no_chooser(whole):
    assert "<select>" in whole
    assert "<select>" not in rendered(panels=[("paper", "a")])


def test_what_a_template_is_not_given_is_an_error():
    with pytest.raises(UndefinedError, match="'legend' is undefined"):
        render(ENVIRONMENT.from_string(SOURCE), nasty=NASTY, rows=[], drawing=go.Figure(), panels=[])


def test_dark_cells_have_white_text():
    page = rendered(rows=[[Cell("a", fill=(0, 34, 78)), Cell("b", fill=(254, 232, 56))]])
    assert 'style="background:rgb(0,34,78);color:#fff"' in page
    assert 'style="background:rgb(254,232,56);color:#000"' in page
