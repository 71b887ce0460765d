import errno
import fcntl
import json
import os
from dataclasses import replace

import pandas
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.studies.bench.folder import open_folder, read_rows
from dmcjia_opt.studies.bench.results import load
from dmcjia_opt.studies.bench.rows import Outcome, Row


def row(key, *, seed=0, revision="r1"):
    return Row(
        key=key,
        suite="s",
        instance="i",
        instance_sha256="0",
        family="paper",
        n_nodes=3,
        n_splits=35,
        method="genetic + waterfilling",
        kind="placer",
        seed=seed,
        outcome=Outcome.ANSWER,
        trace=((1, 0.5, None, 0.1), (2, 0.6, 1.0, 0.1)),
        versions={"numpy": "2"},
        revision=revision,
    )


def fill(path, *rows):
    with open_folder(path, "s", resume=False) as folder:
        folder.describe({"runs": 2})
        for each in rows:
            folder.append(each)


def test_rows_come_back(tmp_path):
    fill(tmp_path / "a" / "b", row("1"), row("2", seed=1))
    assert read_rows(tmp_path / "a" / "b") == [row("1"), row("2", seed=1)]
    with open_folder(tmp_path / "a" / "b", "s", resume=True) as folder:
        assert folder.rows == {"1": row("1"), "2": row("2", seed=1)}


@pytest.mark.parametrize("torn", [b'{"key": "3", "sui', b'{"key": "3", \x00\x00\x00}\n', b"\xff"])
def test_a_torn_last_line_is_cut_off(tmp_path, torn):
    fill(tmp_path, row("1"))
    whole = (tmp_path / "rows.jsonl").read_bytes()
    (tmp_path / "rows.jsonl").write_bytes(whole + torn)
    assert read_rows(tmp_path) == [row("1")]
    with open_folder(tmp_path, "s", resume=True) as folder:
        folder.append(row("2", seed=1))
    assert read_rows(tmp_path) == [row("1"), row("2", seed=1)]


def test_a_line_spoilt_in_the_middle_is_an_error(tmp_path):
    fill(tmp_path, row("1"), row("2", seed=1))
    lines = (tmp_path / "rows.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_bytes(b"nonsense\n" + lines[1])
    with pytest.raises(InputError, match=r"rows\.jsonl: line 1 is not a row"):
        read_rows(tmp_path)


@pytest.mark.parametrize(
    ("content", "resume", "message"),
    [
        ({"rows.jsonl": "", "run.json": '{"suite": "s"}'}, False, "not empty; add --resume to go on, or choose"),
        ({"thesis.tex": ""}, False, "not empty; choose another one"),
        ({"thesis.tex": ""}, True, "no folder of a benchmark"),
        ({"rows.jsonl": "", "run.json": '{"suite": "exact"}'}, True, 'holds the suite "exact"'),
    ],
)
def test_folders_that_are_refused(tmp_path, content, resume, message):
    for name, text in content.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message), open_folder(tmp_path, "s", resume=resume):
        pass
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != ".lock") == sorted(content)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="this is a file"), open_folder(tmp_path / "out", "s", resume=False):
        pass


def test_two_benchmarks_do_not_share_a_folder(tmp_path):
    fill(tmp_path, row("1"))
    with (tmp_path / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run is writing here"), open_folder(tmp_path, "s", resume=True):
            pass
    with open_folder(tmp_path, "s", resume=True):
        pass


def test_a_full_disk_keeps_what_is_there(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_folder(tmp_path, "s", resume=False) as folder:
        folder.append(row("1"))
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"No space left on device\); 1 rows are kept: make room"):
            folder.append(row("2", seed=1))
    monkeypatch.undo()
    assert read_rows(tmp_path) == [row("1")]


def test_a_disk_that_takes_a_part_of_a_row(tmp_path):
    """As a disk does that fills up: the first write is short, without an error."""

    class Short:
        def __init__(self, stream):
            self.stream = stream

        def write(self, data):
            return self.stream.write(data[:7])

        def __getattr__(self, name):
            return getattr(self.stream, name)

    with open_folder(tmp_path, "s", resume=False) as folder:
        folder._log = Short(folder._log)
        folder.append(row("1"))
    assert read_rows(tmp_path) == [row("1")]


def test_the_table_has_the_newest_of_each_run_in_order(tmp_path):
    with open_folder(tmp_path, "s", resume=False) as folder:
        for each in (row("1"), row("2", seed=1), row("3", revision="r2")):
            folder.append(each)
        folder.finish(["2", "3"])
    table = pandas.read_parquet(tmp_path / "rows.parquet")
    assert table["key"].tolist() == ["2", "3"]
    assert table["outcome"].tolist() == ["answer", "answer"]
    assert json.loads(table["trace"][0]) == [[1, 0.5, None, 0.1], [2, 0.6, 1.0, 0.1]]
    assert json.loads(table["versions"][0]) == {"numpy": "2"}


def test_runs_along_two_traces_are_two(tmp_path):
    """A policy's instance is a fleet along a trace: the same fleet along another one is not the same run."""
    with open_folder(tmp_path, "s", resume=False) as folder:
        for key, trace in (("1", "markov:9"), ("2", "onoff:9")):
            folder.append(replace(row(key), kind="policy", instance=f"paper-n5-s1 {trace}"))
        folder.finish(["1", "2"])
    assert pandas.read_parquet(tmp_path / "rows.parquet")["key"].tolist() == ["1", "2"]


def test_rows_are_the_same_from_the_log_and_from_the_table(tmp_path):
    """Counts that some runs lack come back as counts, though a table holds them as floats."""
    rows = [replace(row("1"), evaluations=7, limit_evaluations=30), replace(row("2", seed=1), plans=4)]
    with open_folder(tmp_path, "s", resume=False) as folder:
        for each in rows:
            folder.append(each)
        folder.finish(["1", "2"])
    log = load(tmp_path).rows
    (tmp_path / "rows.jsonl").unlink()
    pandas.testing.assert_frame_equal(load(tmp_path).rows, log)
