"""What is exported is imported by iohinspector itself, with the same best values."""

import warnings

import pandas as pd
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.studies.bench.exports import trajectories, write_exports
from dmcjia_opt.studies.bench.results import load
from dmcjia_opt.studies.bench.statistics import GAP_FLOOR
from tests.studies.bench.runs import placer_rows, write_folder


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    write_folder(folder, placer_rows(), suite="small")
    return load(folder)


def test_trajectories_fall_and_begin_at_the_first_evaluation(results):
    found = trajectories(results.rows)
    assert found["data_id"].nunique() == len(results.rows)
    for _, run in found.groupby("data_id"):
        assert run["evaluations"].iloc[0] == 1
        assert run["evaluations"].is_monotonic_increasing
        assert run["raw_y"].is_monotonic_decreasing
    last = found.groupby("data_id")["raw_y"].last()
    error = results.rows["error"].clip(GAP_FLOOR, 1.0)
    assert last.tolist() == pytest.approx(error.tolist())


def test_iohinspector_reads_the_folder(results, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries it imports
        import iohinspector

        write_exports(results, tmp_path)
        manager = iohinspector.DataManager()
        manager.add_folder(str(tmp_path / "ioh"))
        read = manager.load(include_meta_data=True).to_pandas()
    ours = pd.read_csv(tmp_path / "trajectories.csv")
    assert set(read["algorithm_name"]) == set(ours["algorithm_name"])
    best = read.groupby(["algorithm_name", "function_name", "dimension"])["raw_y"].min()
    mine = ours.groupby(["algorithm_name", "function_name", "dimension"])["raw_y"].min()
    pd.testing.assert_series_equal(best.sort_index(), mine.sort_index(), check_dtype=False, check_index_type=False)


def test_rows_as_csv(results, tmp_path):
    write_exports(results, tmp_path)
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert len(rows) == len(results.rows)
    assert "trace" not in rows
    with pytest.raises(InputError, match="cannot"):
        write_exports(results, tmp_path / "rows.csv" / "below")
