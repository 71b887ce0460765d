"""Files mutated at random, some of each kind: refused with a sentence, or a sane result. `drive` does more."""

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from tests.inputs.formats import FORMATS, refusal

#: How many of each; plans of fleets and pages of benchmarks take long to make, and few changed times make sense.
FLEETS = ("scenario", "extreme", "nodes.csv", "nodes.parquet", "numbers of nodes.csv", "numbers of nodes.parquet")
NUMBERS = dict.fromkeys(FORMATS, 40) | dict.fromkeys(FLEETS, 20) | {"bench": 5, "numbers of bench": 3, "times": 100}


@pytest.fixture(autouse=True)
def no_disk(monkeypatch):
    """Keep thousands of small files from having to reach the disk."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


def use(name, seeds, folder):
    """Return how many files are refused with a sentence."""
    refused = 0
    for seed in seeds:
        for path in folder.iterdir():
            path.unlink()
        FORMATS[name].write(folder, np.random.default_rng([seed, *name.encode()]))
        refused += isinstance(refusal(FORMATS[name], folder), InputError)
    return refused


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_are_refused_or_make_sense(name, tmp_path):
    assert 0 < use(name, range(NUMBERS[name]), tmp_path) < NUMBERS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_more_of_them(name, tmp_path):
    use(name, range(NUMBERS[name], 10 * NUMBERS[name]), tmp_path)
