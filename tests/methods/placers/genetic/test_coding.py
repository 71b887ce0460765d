import numpy as np
import pytest

from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.genetic.coding import BinaryCode, BinaryPlacementProblem, GrayCode
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.search import Search

LAYERS = np.array([34, 6, 1, 16])
both = pytest.mark.parametrize("code", [BinaryCode, GrayCode])


def every_code(bits):
    return (np.arange(2**bits)[:, None] >> np.arange(bits)[::-1]) & 1 == 1


@pytest.mark.parametrize(
    ("layers", "bits"), [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (31, 5), (32, 6), (34, 6), (63, 6), (64, 7)]
)
def test_codes_are_monotone_onto_and_even(layers, bits):
    """All 2^6 codes of ResNet34's 34 layers among them: 29 options are coded twice, 6 once."""
    code = BinaryCode(np.array([layers]))
    assert code.length == bits
    options = code.decode(every_code(bits))[:, 0]
    assert options[0] == 0
    assert options[-1] == layers
    assert set(np.diff(options)) <= {0, 1}
    assert set(options) == set(range(layers + 1))
    counts = np.bincount(options)
    assert counts.max() - counts.min() <= 1
    assert options.tolist() == [k * (layers + 1) // 2**bits for k in range(2**bits)]


@pytest.mark.parametrize("layers", [1, 2, 7, 34])
def test_neighbours_differ_in_one_bit_of_a_gray_code(layers):
    code = GrayCode(np.array([layers]))
    k = np.arange(2**code.length)
    reflected = (k ^ k >> 1)[:, None] >> np.arange(code.length)[::-1] & 1 == 1
    assert (np.diff(reflected.astype(int), axis=0) != 0).sum(axis=1).tolist() == [1] * (len(k) - 1)
    assert code.decode(reflected)[:, 0].tolist() == [i * (layers + 1) // len(k) for i in k]


@both
def test_nodes_are_decoded_side_by_side(code):
    whole = code(LAYERS)
    assert whole.bits.tolist() == [6, 3, 1, 5]
    chromosomes = np.random.default_rng(0).random((50, whole.length)) < 0.5
    parts = np.split(chromosomes, np.cumsum(whole.bits)[:-1], axis=1)
    alone = [code(LAYERS[d : d + 1]).decode(part)[:, 0] for d, part in enumerate(parts)]
    np.testing.assert_array_equal(whole.decode(chromosomes), np.stack(alone, axis=1))


@both
def test_what_is_encoded_is_decoded(code):
    options = np.random.default_rng(0).integers(0, LAYERS + 1, (300, 4))
    bits = code(LAYERS).encode(options)
    assert bits.dtype == bool
    assert bits.shape == (300, 15)
    np.testing.assert_array_equal(code(LAYERS).decode(bits), options)


def test_bits_are_read_as_booleans_whatever_pymoo_hands_over():
    problem = compile_problem(generate("paper", nodes=2))
    seen = BinaryPlacementProblem(Search(problem, WaterFilling()))
    bits = np.random.default_rng(0).random((5, 12)) < 0.5
    for form in (bits, bits.astype(object), bits.astype(float), bits.astype(int)):
        np.testing.assert_array_equal(seen.decode(form), seen.code.decode(bits))
