"""The page of a benchmark: what it says of real runs, and that no lack of runs breaks it."""

import re
from collections import Counter
from functools import partial
from html.parser import HTMLParser

import pytest
from markupsafe import escape

from dmcjia_opt.studies.bench.page.findings import untold
from dmcjia_opt.studies.bench.page.overview import benchmark_report
from dmcjia_opt.studies.bench.results import Results, load, table
from dmcjia_opt.studies.bench.rows import Outcome
from tests.command_line import run
from tests.studies.bench.runs import allocator_rows, answer, placer_rows, row, write_folder


@pytest.fixture
def dmcjia(monkeypatch, capsys):
    return partial(run, monkeypatch, capsys)


@pytest.fixture(scope="module")
def page():
    return benchmark_report(Results(table([*placer_rows(), *allocator_rows()])))


def visible(page):
    markup = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup))


def test_it_begins_with_the_answer(page):
    words = visible(page)
    assert "exact won: it reached a gap of 1e-9 in 12 of 12 runs" in words
    assert "waterfilling won" in words
    assert "mindtpy (4 of 8)" in words  # claims that were contradicted
    assert "Could not take part: cp-sat" in words


def test_every_kind_of_plot_and_table_is_there(page):
    words = visible(page)
    for title in (
        "Performance profiles",
        "By wall time",
        "By plans evaluated",
        "Gap over wall time",
        "Time against size",
        "Gap against time",
        "Instance by instance",
        "Are the differences real?",
        "What dropping failures would do",
        "No method was run both at its defaults and with options.",
        "Limitations and fairness",
        "How to reproduce",
    ):
        assert title in words
    assert page.count('class="plot"') >= 10
    assert "0.0000" not in words


def test_classes_in_files_stand_by_their_names():
    rows = [answer("a", method="./some/iao.py:Iao:units=9 + waterfilling"), answer("b", method="exact + waterfilling")]
    words = visible(benchmark_report(Results(table(rows))))
    assert "Classes of one&#39;s own stand by their names: Iao in ./some/iao.py." in words
    assert words.count("./some/iao.py") == 1
    assert "Iao:units=9" in words
    twins = [answer("a", method="./a/iao.py:Iao + alm"), answer("b", method="./b/iao.py:Iao + alm")]
    assert "./b/iao.py:Iao" in visible(benchmark_report(Results(table(twins))))


@pytest.mark.parametrize(
    "rows",
    [
        [answer("a")],
        [row("a")],
        [row("a", outcome=Outcome.REFUSED, message="no")],
        [row("a"), row("b", method="other", outcome=Outcome.CRASH)],
        list(allocator_rows()),
        [row("a", kind="allocator", method="alm", outcome=Outcome.ERROR, message="ValueError: x")],
        [answer("a", lower_bound_s=None, gap=None)],
        [answer("a", method="<script>x</script>", message="<b>")],
    ],
    ids=["one", "a failure", "a refusal", "failures", "allocators", "no allocator", "no bound", "nasty"],
)
def test_few_runs_or_none_that_succeeded(rows):
    page = benchmark_report(Results(table(rows)))
    assert page.endswith("</html>\n")
    assert "<script>x" not in page
    assert re.search(r"\bnan\b", visible(page), flags=re.IGNORECASE) is None


def test_from_the_command_line(tmp_path, dmcjia):
    write_folder(tmp_path / "r", placer_rows()[:12], suite="small")
    done = dmcjia("report", tmp_path / "r", "--out", tmp_path / "r.html", "--csv", tmp_path / "csv")
    assert done.code == 0
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (tmp_path / "csv" / "trajectories.csv").is_file()


def test_what_cannot_be_reported_is_a_sentence(tmp_path, dmcjia):
    (tmp_path / "empty").mkdir()
    page = tmp_path / "r.html"
    for folder, out, part in (
        (tmp_path / "none", page, "no such folder"),
        (tmp_path / "empty", page, "no rows.jsonl"),
        (tmp_path / "empty", tmp_path / "r.txt", "end in .html"),
    ):
        done = dmcjia("report", folder, "--out", out)
        assert (done.code, part in done.err) == (2, True)
        assert not out.exists()


def test_a_torn_last_row_is_left_out_and_said_so(tmp_path):
    rows = placer_rows()[:6]
    write_folder(tmp_path, rows, suite="small")
    with (tmp_path / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"key": "torn", "sui')
    found = load(tmp_path)
    assert len(found.rows) == len(rows)
    assert "cut off" in visible(benchmark_report(found))


class _Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = Counter()

    def handle_starttag(self, tag, attributes):
        handlers = [name for name, _ in attributes if name.startswith("on")]
        links = [value for name, value in attributes if name in ("href", "src") and not value.startswith("#")]
        self.found.update([tag, *handlers, *links])


def elements(page):
    parser = _Elements()
    parser.feed(page)
    return parser.found


def test_names_are_shown_and_never_run(tmp_path):
    hostile = """</script><script>alert(1)</script>"><img src=x onerror=alert(1)><a href='javascript:alert(1)'>x</a>"""
    pages = []
    for name in ("harmless", hostile):
        texts = dict.fromkeys(("suite", "instance", "family", "method", "message", "machine", "revision"), name)
        texts |= {"claimed_status": name, "started": name, "versions": {name: name}}
        rows = [answer("a", **texts), row("b", **(texts | {"seed": 1})), answer("c", instance="other", method="two")]
        write_folder(tmp_path, rows, suite=name, command=["dmcjia", "bench", name], machine=name, versions={name: name})
        pages.append(benchmark_report(load(tmp_path)))
    harmless, page = pages
    assert hostile not in page
    assert escape(hostile) in page
    assert elements(page) == elements(harmless)


def test_it_says_what_few_runs_cannot_tell(page):
    few = visible(benchmark_report(Results(table([answer("a", wall_seconds=0.01, n_nodes=1)]))))
    assert "What these runs cannot tell" in few
    assert "about 1 instance of up to 1 node:" in few
    assert "With 1 seed an instance the luck" in few
    assert "Half of the runs took less than 10 ms" in few
    many = table(
        [
            answer(f"{k}-{seed}-{method}", instance=f"i{k}", method=method, seed=seed, wall_seconds=1.0 + seed)
            for k in range(6)
            for seed in range(3)
            for method in ("a", "b")
        ]
    )
    assert untold(many, {"pairs": 1, "told_apart": 1}) == []
    assert untold(many, {"pairs": 1, "told_apart": 0}) == [
        "By their gaps no two methods can be told apart, so that their order may be chance."
    ]
