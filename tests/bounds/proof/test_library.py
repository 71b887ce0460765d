"""Every instance of the library with up to 50 nodes: its proof is made, written, read and checked."""

import pytest

from benchmarks.proofs import FOLDER, prove_one
from dmcjia_opt.studies.bench.library import Library

LIBRARY = Library(FOLDER)


@pytest.mark.parametrize("name", [name for name, entry in LIBRARY.index.items() if entry.nodes <= 50])
def test_the_best_known_plan_is_proved(tmp_path, name):
    assert prove_one(LIBRARY, name, tmp_path) <= 1e-9
