import numpy as np
import pandas as pd
import pytest

from dmcjia_opt.studies.reproduce import tables
from dmcjia_opt.studies.reproduce.tables import markdown, percent, save_table

TABLE = {"method": ["a, b", "c"], "seed": [None, np.int64(3)], "delay": [0.1 + 0.2, np.float64(np.inf)]}


def test_csv_keeps_every_digit_and_leaves_out_what_is_not_finite(tmp_path):
    save_table(TABLE, tmp_path / "t")
    assert (tmp_path / "t.csv").read_text() == 'method,seed,delay\n"a, b",,0.30000000000000004\nc,3,\n'


def test_parquet_holds_the_same(tmp_path):
    save_table(TABLE, tmp_path / "t")
    frame = pd.read_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(frame, pd.read_csv(tmp_path / "t.csv"), check_dtype=False)


def test_without_pyarrow_there_is_csv_only(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    save_table(TABLE, tmp_path / "t")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_columns_of_different_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        save_table({"a": [1, 2], "b": [1]}, tmp_path / "t")


def test_markdown():
    assert markdown(("a", "b"), [(1, "x")]) == "| a | b |\n| :-- | --: |\n| 1 | x |"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 %"),
        (-3e-12, "0 %"),
        (1.23e-5, "0.0012 %"),
        (0.00994, "0.99 %"),
        (0.00996, "1.0 %"),
        (0.0994, "9.9 %"),
        (0.0996, "10 %"),
        (-0.0044, "-0.44 %"),
        (7.126, "713 %"),
        (np.inf, "∞"),
    ],
)
def test_percentages_never_read_as_zero_unless_they_are(value, text):
    assert percent(value) == text
