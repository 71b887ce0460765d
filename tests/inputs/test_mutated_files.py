"""Files mutated at random, 100 of each kind: refused with a sentence, or a sane result. `drive` does more."""

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from tests.inputs.formats import FORMATS, refusal

#: How many of each; pages of benchmarks take long to write.
NUMBERS = dict.fromkeys(FORMATS, 100) | {"bench": 8, "numbers of bench": 8}


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_are_refused_or_make_sense(name, tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)  # thousands of small files need not reach the disk
    refused = 0
    for seed in range(NUMBERS[name]):
        for path in tmp_path.iterdir():
            path.unlink()
        FORMATS[name].write(tmp_path, np.random.default_rng([seed, *name.encode()]))
        refused += isinstance(refusal(FORMATS[name], tmp_path), InputError)
    assert 0 < refused < NUMBERS[name]
