import pytest
from onnx import defs
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.macs import COUNTED, FREE, count_macs

MS = "com.microsoft:"


@pytest.mark.parametrize(
    ("kind", "inputs", "outputs", "attributes", "macs"),
    [
        ("Conv", [(1, 4, 8, 8), (6, 4, 3, 3)], [(1, 6, 8, 8)], {}, 6 * 64 * 4 * 9),
        ("Conv", [(2, 4, 8, 8), (6, 2, 3, 3)], [(2, 6, 8, 8)], {}, 2 * 6 * 64 * 2 * 9),  # batch of 2, two groups
        ("Conv", [(1, 4, 9), (5, 4, 2)], [(1, 5, 8)], {}, 5 * 8 * 4 * 2),
        ("Conv", [(1, 2, 4, 4, 4), (3, 2, 2, 2, 2)], [(1, 3, 3, 3, 3)], {}, 3 * 27 * 2 * 8),
        ("ConvInteger", [(1, 4, 8, 8), (6, 4, 3, 3)], [(1, 6, 6, 6)], {}, 6 * 36 * 36),
        ("QLinearConv", [(1, 4, 8, 8), (), (), (6, 4, 3, 3), (), (), (), ()], [(1, 6, 6, 6)], {}, 6 * 36 * 36),
        ("ConvTranspose", [(1, 4, 5, 5), (4, 6, 3, 3)], [(1, 6, 11, 11)], {}, 4 * 25 * 6 * 9),
        ("ConvTranspose", [(1, 4, 5, 5), (4, 3, 3, 3)], [(1, 6, 11, 11)], {}, 4 * 25 * 3 * 9),  # two groups
        ("Gemm", [(2, 7), (7, 3), (3,)], [(2, 3)], {}, 42),
        ("Gemm", [(7, 2), (7, 3)], [(2, 3)], {"transA": 1}, 42),
        ("MatMul", [(5, 2, 7), (7, 3)], [(5, 2, 3)], {}, 5 * 42),
        ("MatMul", [(7,), (7,)], [()], {}, 7),
        ("QLinearMatMul", [(2, 7), (), (), (7, 3), (), (), (), ()], [(2, 3)], {}, 42),
        ("Einsum", [(4, 2, 7), (7, 3)], [(4, 2, 3)], {"equation": "bij, jk -> bik"}, 4 * 42),
        ("Einsum", [(4, 2, 7), (4, 7, 3)], [(4, 2, 3)], {"equation": "...ij,...jk->...ik"}, 4 * 42),
        ("Einsum", [(4, 5)], [(5, 4)], {"equation": "ij->ji"}, 0),
        ("Einsum", [(1, 64, 512), (512, 8), (8, 512)], [(1, 64, 512)], {"equation": "bij,jr,rk->bik"}, 524_288),
        # from the right: 6 x 100 x 2 products, then 4 x 6 x 2
        ("Einsum", [(4, 6), (6, 100), (100, 2)], [(4, 2)], {"equation": "ab,bc,cd"}, 1200 + 48),
        ("Einsum", [(3, 5)] + [(5, 5)] * 9, [(3, 5)], {"equation": "ab,bc,cd,de,ef,fg,gh,hi,ij,jk->ak"}, 9 * 75),
        ("LSTM", [(9, 2, 5), (1, 12, 5), (1, 12, 3)], [(9, 1, 2, 3)], {}, 9 * 2 * (12 * 5 + 12 * 3)),
        ("GRU", [(9, 2, 5), (2, 9, 5), (2, 9, 3)], [(9, 2, 2, 3)], {}, 9 * 2 * 2 * (9 * 5 + 9 * 3)),
        ("RNN", [(9, 2, 5), (1, 3, 5), (1, 3, 3)], [(9, 1, 2, 3)], {}, 9 * 2 * (15 + 9)),
        ("Attention", [(2, 4, 6, 8), (2, 4, 5, 8), (2, 4, 5, 3)], [(2, 4, 6, 3)], {}, 2 * 4 * 6 * 5 * (8 + 3)),
        ("Attention", [(1, 6, 32), (1, 5, 32), (1, 5, 32)], [(1, 6, 32)], {}, 5 * 2 * 6 * 32),
        (
            "Attention",
            [(1, 2, 1, 8), (1, 2, 1, 8), (1, 2, 1, 8), None, (1, 2, 7, 8), (1, 2, 7, 8)],
            [(1, 2, 1, 8)],
            {},
            8 * 2 * 2 * 8,
        ),
        ("Relu", [(1, 9)], [(1, 9)], {}, 0),
        (MS + "FusedConv", [(1, 4, 8, 8), (6, 4, 3, 3), (6,)], [(1, 6, 8, 8)], {}, 6 * 64 * 4 * 9),
        (MS + "FusedMatMul", [(3, 7, 2), (3, 7, 5)], [(3, 2, 5)], {"transA": 1}, 3 * 2 * 5 * 7),
        (MS + "FusedMatMul", [(7, 3, 2), (3, 7, 5)], [(3, 2, 5)], {"transA": 1, "transBatchA": 1}, 3 * 2 * 5 * 7),
        (MS + "QGemm", [(2, 7), (), (), (3, 7), (), ()], [(2, 3)], {}, 42),
        (MS + "MatMulNBits", [(1, 5, 64), (32, 2, 16), (64,)], [(1, 5, 32)], {}, 5 * 64 * 32),
        (MS + "DynamicQuantizeLSTM", [(9, 2, 5), (1, 5, 12), (1, 3, 12)], [(9, 1, 2, 3)], {}, 9 * 2 * (60 + 36)),
        # projections, then every query with every key and every value
        (MS + "Attention", [(2, 6, 8), (8, 24), (24,)], [(2, 6, 8)], {}, 2 * 6 * 8 * 24 + 2 * 2 * 6 * 6 * 8),
        (MS + "Attention", [(1, 2, 8), (8, 20), None, None, (2, 1, 2, 5, 4)], [(1, 2, 4)], {}, 2 * 160 + 2 * 7 * 12),
        (MS + "QAttention", [(2, 6, 8), (8, 24), (24,), (), ()], [(2, 6, 8)], {}, 2 * 6 * 8 * 24 + 2 * 2 * 6 * 6 * 8),
        (MS + "MultiHeadAttention", [(1, 6, 8), (1, 5, 8), (1, 5, 4)], [(1, 6, 4)], {}, 6 * 5 * 12),
        (MS + "MultiHeadAttention", [(1, 6, 2, 3, 4)], [(1, 6, 8)], {}, 6 * 6 * 16),
        (MS + "GroupQueryAttention", [(1, 2, 16), (1, 2, 8), (1, 2, 8)], [(1, 2, 16), (1, 2, 7, 4)], {}, 2 * 7 * 32),
        (MS + "SkipLayerNormalization", [(1, 6, 8), (1, 6, 8), (8,)], [(1, 6, 8)], {}, 0),
    ],
)
def test_by_hand(kind, inputs, outputs, attributes, macs):
    assert count_macs(kind, inputs, outputs, attributes) == macs


@pytest.mark.parametrize("kind", ["If", "Loop", "Scan", "DFT", "com.microsoft:Conv", "Conv2D", ""])
def test_what_no_rule_knows_is_not_zero(kind):
    assert count_macs(kind, [(1, 4)], [(1, 4)], {}) is None


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes"),
    [("Conv", [(1, 2)], {}), ("MatMul", [None, (2, 2)], {}), ("Einsum", [(2,)], {}), ("LSTM", [(3, 2, 1)], {})],
)
def test_shapes_that_do_not_fit_are_refused(kind, inputs, attributes):
    with pytest.raises(InputError, match=f"do not fit operator {kind}"):
        count_macs(kind, inputs, [(1, 2)], attributes)


def test_every_name_is_an_operator_of_onnx_and_has_one_rule():
    schemas = (*defs.get_all_schemas_with_history(), *get_all_operator_schema())
    known = {f"{schema.domain}:{schema.name}" if schema.domain else schema.name for schema in schemas}
    assert known >= FREE | set(COUNTED)
    assert not FREE & set(COUNTED)
