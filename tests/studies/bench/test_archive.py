"""Submissions to the archive: what is true of one is let in, and whatever is not is named."""

import json
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dmcjia_opt import compile_problem
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.studies.bench.archive import complaints, load_submission, submissions
from dmcjia_opt.studies.bench.certificates import Certificates, read_certificates
from dmcjia_opt.studies.bench.folder import read_rows
from dmcjia_opt.studies.bench.library import find_library
from dmcjia_opt.studies.bench.page.archive_page import archive_page
from dmcjia_opt.studies.bench.running.runner import run_suite
from dmcjia_opt.studies.bench.runs import Reply
from tests.studies.bench.small import small_suite

ROOT = Path(__file__).parents[3]
ABOUT = 'name = "mine"\nwho = "somebody"\ndate = 2030-01-02\nmachine = "a box"\nabout = "A try."\n'
#: One of the library, and one that is not.
NAMES = ("paper-n5-s1", "paper-n4-s9")


@pytest.fixture(scope="module")
def library():
    return find_library()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a submission of a small suite, of which `spoil` takes copies."""
    folder = tmp_path_factory.mktemp("archive") / "mine"
    suite = small_suite("exact", "greedy+", instances=NAMES, stop=Stop(evaluations=200))
    run_suite(suite, folder / "small", workers=1)
    (folder / "small" / "rows.parquet").unlink()  # rows.jsonl says the same, and is easier to spoil
    (folder / "small" / ".lock").unlink(missing_ok=True)
    (folder / "submission.toml").write_text(ABOUT, encoding="utf-8")
    return folder


@pytest.fixture
def mine(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "mine"))


def change(folder, **values):
    """Change the first row."""
    path = folder / "small" / "rows.jsonl"
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | values), *rest]) + "\n", encoding="utf-8")


def certificates(folder):
    return folder / "small" / "certificates.jsonl"


def certify(folder, **values):
    """Change the last certificate, of the instance that the library has not."""
    *others, last = certificates(folder).read_text(encoding="utf-8").splitlines()
    assert json.loads(last)["name"] == "paper-n4-s9"
    certificates(folder).write_text(
        "\n".join([*others, json.dumps(json.loads(last) | values)]) + "\n", encoding="utf-8"
    )


def test_what_is_true_is_let_in(made, library):
    submission = load_submission(made)
    assert complaints(submission, library) == []
    assert submission.about.who == "somebody"
    assert list(submission.suites) == ["small"]
    rows = submission.suites["small"].rows
    kept = read_certificates(certificates(made))
    assert set(kept) == set(NAMES)
    best = rows[(rows["instance"] == "paper-n5-s1") & rows["method"].str.startswith("exact")].iloc[0]
    assert best["objective_s"] == pytest.approx(library.best["paper-n5-s1"].objective_s, rel=1e-12)
    (objective, bound, evidence), known = kept["paper-n5-s1"], library.evidence("paper-n5-s1")
    assert (objective, bound) == pytest.approx((best["objective_s"], best["own_bound_s"]), rel=1e-12)
    assert evidence.options.tolist() == known.options.tolist()
    assert evidence.prices == pytest.approx(known.prices, rel=1e-6)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: f.rename(f.with_name("other")), 'it is called "mine", and its folder "other"'),
        (lambda f: (f / "small" / "notes.txt").write_text("x"), "small/notes.txt: no file of a benchmark; remove it"),
        (lambda f: (f / "small" / "run.json").unlink(), "run.json must say machine and versions"),
        (lambda f: (f / "small").rename(f / "smaller"), "its rows are of the suite small; call the folder like"),
        (lambda f: change(f, instance_sha256="0" * 64), "another instance of that name: .*exact .* on paper-n5-s1"),
        (lambda f: change(f, instance="ours-n5-s1"), "neither of the library nor small enough"),
        (lambda f: change(f, gap=1e-3), "a gap that is not"),
        (lambda f: change(f, outcome="timeout"), "an objective without an answer"),
        (lambda f: change(f, objective_s=0.29, lower_bound_s=0.29, gap=0.0), "better than any that is known"),
        (lambda f: change(f, own_bound_s=0.4), "a proved bound above a plan that exists"),
        (lambda f: certificates(f).unlink(), "better than any that is known, without its certificate: .*paper-n4-s9"),
        (lambda f: certify(f, splits=[0, 0]), "paper-n4-s9: splits must have"),
        (lambda f: certify(f, price_s=[1.0, 2.0]), "paper-n4-s9: .*price"),
    ],
)
def test_what_is_not_true_is_named(mine, library, spoil, said):
    spoil(mine)
    folder = next(mine.parent.iterdir())
    found = complaints(load_submission(folder), library)
    assert len(found) == 1
    with pytest.raises(InputError, match=said):
        raise InputError(found[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not TOML"),
        (ABOUT.replace("who", "whom"), r'unknown key "whom" \(did you mean "who"'),
        (ABOUT.replace('"mine"', '"My Run"'), "name"),
        (ABOUT.replace("2030-01-02", '"soon"'), "date"),
    ],
)
def test_a_description_that_is_none(mine, text, message):
    (mine / "submission.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_submission(mine)


def test_certificates_are_a_log(mine, library):
    before = certificates(mine).read_bytes()
    with certificates(mine).open("ab") as log:
        log.write(b'{"name": "torn')
    assert set(read_certificates(certificates(mine))) == set(NAMES)
    row = next(row for row in read_rows(mine / "small") if row.instance == NAMES[0] and row.objective_s > 0.4)
    Certificates(mine / "small").take(row, Reply(), compile_problem(library.instance(NAMES[0]).load()))
    assert certificates(mine).read_bytes() == before  # worse than what is known
    certificates(mine).write_text('{"name": "paper-n5-s1"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 1: not the plan of an instance"):
        complaints(load_submission(mine), library)


def test_a_folder_that_is_no_submission(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*submission\.toml|submission\.toml: cannot read"):
        load_submission(tmp_path)
    (tmp_path / "submission.toml").write_text(ABOUT, encoding="utf-8")
    with pytest.raises(InputError, match="no folder of a suite"):
        load_submission(tmp_path)
    with pytest.raises(InputError, match="there is no submission"):
        submissions(tmp_path / "nowhere")


def test_the_page_has_all_submissions(made, mine):
    (mine / "submission.toml").write_text(ABOUT.replace("mine", "yours").replace("2030", "2029"), encoding="utf-8")
    first, second = submissions(mine.parent) + submissions(made.parent)
    page = archive_page([first, second])
    assert [each.about.name for each in (first, second)] == ["yours", "mine"]
    assert "8 runs in 2 submissions." in page
    assert page.count("A try.") == 2
    assert "<td>exact</td>" in page
    assert "<script src" not in page
    nasty = replace(first, about=first.about.model_copy(update={"who": "<script>x</script>"}))
    assert "<script>x" not in archive_page([nasty])


def test_the_command(mine, tmp_path, monkeypatch, capsys):
    main = runpy.run_path(str(ROOT / "benchmarks" / "archive.py"))["main"]

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["archive.py", *map(str, arguments)])
        return main(), *capsys.readouterr()

    assert command("check", mine) == (0, f"{mine}: 4 runs of small, fine\n", "")
    out = tmp_path / "archive.html"
    assert command("page", "--archive", tmp_path, "--out", out) == (0, f"1 submissions in {out}\n", "")
    assert out.read_text(encoding="utf-8").endswith("</html>\n")
    change(mine, gap=0.5)
    code, said, _ = command("check", mine)
    assert code == 1
    assert "not to be added" in said
    assert command("check", tmp_path / "nowhere")[0] == 2


def test_the_archive_of_this_checkout_is_true(library):
    for submission in submissions(ROOT / "benchmarks" / "results"):
        assert complaints(submission, library) == []


def test_the_tables_of_the_docs_are_those_of_the_archive(monkeypatch, capsys):
    main = runpy.run_path(str(ROOT / "benchmarks" / "archive.py"))["main"]
    monkeypatch.setattr(sys, "argv", ["archive.py", "tables", str(ROOT / "benchmarks" / "results" / "dmcjia-0.2.0")])
    assert main() == 0
    tables = capsys.readouterr().out
    assert tables.count("\n") > 20
    docs = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for table in tables.strip().split("\n\n"):
        assert table in docs
