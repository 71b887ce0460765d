"""The instances of the library with up to 50 nodes: their proofs are made, written, read and checked."""

import pytest

from benchmarks.proofs import FOLDER, prove_one
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.studies.bench.library import Library

LIBRARY = Library(FOLDER)


#: What few nodes share at a time takes more cases than a proof has.
LUMPY = ("servers", "tiers", "hosts")
NAMES = [name for name, entry in LIBRARY.index.items() if entry.nodes <= 50]
#: What no proof file can be about.
NONE = ("worst", "p95", "p99", "fifo", "ps")


def _about(name: str) -> bool:
    return not any(name.endswith(end) or f"+{end}" in name for end in NONE)


PROVED = [name for name in NAMES if LIBRARY.index[name].family not in LUMPY and _about(name)]
#: What takes hundreds of cases.
LONG = ("hard-links2-n40-s1",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in PROVED]
)
def test_the_best_known_plan_is_proved(tmp_path, name):
    assert prove_one(LIBRARY, name, tmp_path) <= 1e-9


@pytest.mark.parametrize("name", [name for name in NAMES if not _about(name)])
def test_what_no_proof_is_about_is_said(tmp_path, name):
    with pytest.raises(InputError, match="leave --proof out"):
        prove_one(LIBRARY, name, tmp_path)


@pytest.mark.slow
def test_a_proof_that_would_be_too_large_proves_what_prices_do(tmp_path):
    assert 1e-9 < prove_one(LIBRARY, "servers-n10-s1", tmp_path) < 0.01
