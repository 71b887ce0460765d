"""The documentation builds without a warning and without a network, and its parts made from code are up to date."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib

import pytest

import dmcjia_opt
from dmcjia_opt.cli.main import app
from dmcjia_opt.methods.placers.genetic.genetic import CROSSOVERS, ENCODINGS, MUTATIONS, REPAIRS, SELECTIONS
from dmcjia_opt.solving.registry import METHODS, options, spec_of
from tests.docs.blocks import PAGES, ROOT, blocks

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the pages as ``make docs`` does; test_gallery runs the notebooks."""
    out = tmp_path_factory.mktemp("html")
    command = sys.executable, "-m", "sphinx", "-W", "-n", "-q", "-b", "html"
    done = subprocess.run(
        [*command, "-D", "nb_execution_mode=off", "-d", out / "doctrees", DOCS, out / "html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_every_page_is_built(built):
    for page in PAGES:
        if page.startswith("docs/"):
            assert (built / page.removeprefix("docs/")).with_suffix(".html").is_file()


def test_mathematics_is_typeset(built):
    text = (built / "mathematics.html").read_text(encoding="utf-8")
    source = (DOCS / "mathematics.md").read_text(encoding="utf-8")
    assert text.count('display="block"') == source.count("$$") // 2
    assert text.count("<mfrac>") >= 5


def test_no_page_fetches_anything(built):
    for page in built.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img|link|iframe)\b[^>]*(?:src|href)=\"(https?:[^\"]+)", text)
        assert fetched == [], page


def test_every_public_name_is_in_the_reference(built):
    text = "".join(page.read_text(encoding="utf-8") for page in (built / "api").glob("*.html"))
    for name in dmcjia_opt.__all__:
        assert f'id="dmcjia_opt.{name}"' in text, name


def test_every_command_option_and_method_is_in_the_reference(built):
    page = (built / "commands.html").read_text(encoding="utf-8")
    for command in app.registered_commands:
        name = command.callback.__name__
        assert f"dmcjia {name}" in page
    for option in ("--placer", "--json", "--list", "--service-cv", "--upload-dtype"):
        assert option in page, option
    solvers = (built / "solvers.html").read_text(encoding="utf-8")
    for spec in METHODS.values():
        assert f">{spec.name}" in solvers, spec.name


@pytest.mark.parametrize(
    ("page", "names"),
    [("genetic", ["genetic"]), ("optimisers", ["nevergrad", "cma", "optuna", "scipy", "cpsat", "pymoo"])],
)
def test_every_option_and_choice_is_on_the_page_of_its_method(built, page, names):
    text = (built / f"{page}.html").read_text(encoding="utf-8")
    for name in names:
        for option in options(spec_of("placer", name)):
            assert f">{option.name}<" in text, (name, option.name)
    if page == "genetic":
        for choice in (*ENCODINGS, *SELECTIONS, *CROSSOVERS, *MUTATIONS, *REPAIRS):
            assert choice in text, choice
        assert "pymoo:GA                     23.184" in text


@pytest.mark.parametrize("name", ["concepts", "opening"])
def test_the_picture_is_of_the_plans_it_shows(name):
    drawn = runpy.run_path(str(DOCS / f"draw_{name}.py"))["draw"]()
    assert drawn == (DOCS / f"{name}.svg").read_text(encoding="utf-8")


def test_every_extra_is_on_the_page_about_installing():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (DOCS / "install.md").read_text(encoding="utf-8")
    for extra in project["optional-dependencies"]:
        assert f"`{extra}`" in page, extra


def test_every_block_of_code_is_run_or_says_why_not():
    for page in PAGES:
        for block in blocks(page):
            assert block.language in ("python", "console", "toml", "json", "text", "bibtex"), (
                f"{page}, line {block.line}"
            )
            if block.mark.startswith("not run"):
                reason = block.mark.removeprefix("not run: ")
                assert len(reason) > 15, f"{page}, line {block.line}"
                assert block.language in ("python", "console"), f"{page}, line {block.line}"


def test_every_page_is_in_the_tree():
    named = set()
    for index in (DOCS / "index.md", DOCS / "api" / "index.md", DOCS / "gallery" / "index.md"):
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", index.read_text(encoding="utf-8"), re.DOTALL):
            named |= {
                (index.parent / re.sub(r".*<(.*)>", r"\1", line)).with_suffix(".md")
                for line in tree.splitlines()
                if line and not line.startswith(":")
            }
    notebooks = {path.with_suffix(".md") for path in (DOCS / "gallery").glob("*.ipynb")}
    pages = {ROOT / page for page in PAGES if page.startswith("docs/")}
    assert named | {DOCS / "index.md"} == pages | notebooks


def test_citation_and_its_page_agree():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    page = (DOCS / "cite.md").read_text(encoding="utf-8")
    for words in (dmcjia_opt.__version__, "Research on Cloud-edge Joint Task Inference Algorithm in Edge Intelligence"):
        assert words in citation
        assert words in page


def test_the_figures_of_pooling_are_of_what_is_planned_and_simulated():
    for name, drawn in runpy.run_path(str(DOCS / "draw_pooling.py"))["figures"]().items():
        assert drawn == (DOCS / name).read_text(encoding="utf-8"), name
