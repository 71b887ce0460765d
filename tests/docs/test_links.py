"""Every relative link of the documentation leads to a file that is there, and every anchor to a heading."""

from __future__ import annotations

import re

import pytest

from tests.docs.blocks import PAGES, ROOT

_LINK = re.compile(r"!?\[[^\]]*\]\((?!\w+:)([^)\s]+)\)")
ALL = [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md", "examples/plugin/README.md"]


def prose(page):
    """Return a page without its code."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(path):
    """Return the anchors of a page's headings, as MyST and code hosts make them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ALL)
def test_links_lead_somewhere(page):
    for link in _LINK.findall(prose(page)):
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page}: {link} has no such heading"


def test_the_check_sees_links():
    found = {page: len(_LINK.findall(prose(page))) for page in ALL}
    assert found["README.md"] >= 10
    assert sum(found.values()) >= 60


def test_what_is_assumed_stands_on_one_page_that_others_name():
    pages = ("README.md", "docs/certificates.md", "docs/five-minutes.md", "docs/mathematics.md", "docs/ten-minutes.md")
    for page in pages:
        assert "assumptions.md)" in prose(page), page


def test_nothing_is_fetched_to_show_a_page():
    for page in ALL:
        assert not re.search(r"!\[[^\]]*\]\(https?:|<img[^>]*https?:", prose(page)), page
