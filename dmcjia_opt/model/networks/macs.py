"""MACs of one operator from the shapes of its tensors.

The rules of published counts: a multiplication with a weight or of two matrices counts, and the bias, activations,
normalisation, pooling, interpolation and moving of data do not. The names are ONNX's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import cast

from dmcjia_opt.base.errors import InputError

Shape = tuple[int, ...]
#: Attributes of an operator by name; what a rule does not read may be anything.
Attributes = Mapping[str, object]
_Rule = Callable[[Sequence[Shape], Sequence[Shape], Attributes], int]


def count_macs(
    kind: str, inputs: Sequence[Shape | None], outputs: Sequence[Shape | None], attributes: Attributes
) -> int | None:
    """Return the MACs of an operator, or None if no rule knows it.

    Parameters
    ----------
    kind
        ONNX's name of the operator.
    inputs, outputs
        Shapes; None where an optional one is left out.
    attributes
        The operator's attributes.

    Raises
    ------
    InputError
        If the shapes are not those of such an operator.
    """
    if kind in FREE:
        return 0
    if kind not in COUNTED:
        return None
    try:
        known = cast("Sequence[Shape]", inputs), cast("Sequence[Shape]", outputs)  # a None raises TypeError
        return COUNTED[kind](*known, attributes)
    except (IndexError, TypeError, KeyError, ValueError):
        shapes = ", ".join("none" if s is None else "×".join(map(str, s)) or "scalar" for s in inputs)
        raise InputError(f"inputs of shapes {shapes} do not fit operator {kind}") from None


def _attention(inputs: Sequence[Shape], outputs: Sequence[Shape], attributes: Attributes) -> int:
    """Every query meets every key and every value, those of the past too; projections are operators apart."""
    past = inputs[4] if len(inputs) > 4 else None
    keys = inputs[1][-2] + (past[-2] if past else 0)
    return keys * (math.prod(inputs[0]) + math.prod(outputs[0]))


def _projecting_attention(past_at: int) -> _Rule:
    """Return the rule of onnxruntime's attention that projects too, its past at that input."""

    def rule(inputs: Sequence[Shape], outputs: Sequence[Shape], attributes: Attributes) -> int:
        (batch, queries, wide), columns, values = inputs[0], inputs[1][-1], outputs[0][-1]
        past = inputs[past_at] if len(inputs) > past_at else None
        keys = queries + (past[-2] if past else 0)
        # columns are those of queries, keys and values side by side; queries are as wide as keys
        return batch * queries * (wide * columns + keys * ((columns - values) // 2 + values))

    return rule


def _multi_head_attention(inputs: Sequence[Shape], outputs: Sequence[Shape], attributes: Attributes) -> int:
    """Every query meets every key and every value; those come apart, keys and values packed, or all three packed."""
    query, key = inputs[0], inputs[1] if len(inputs) > 1 else None
    past = inputs[6] if len(inputs) > 6 else None
    wide = query[2] * query[4] if len(query) == 5 else query[-1]
    keys = query[1] if key is None else key[2] if len(key) == 4 else key[1]
    return query[0] * query[1] * (keys + (past[-2] if past else 0)) * (wide + outputs[0][-1])


def _group_query_attention(inputs: Sequence[Shape], outputs: Sequence[Shape], attributes: Attributes) -> int:
    """Every query meets every key and every value that the cache has after it, shared by groups of queries or not."""
    return 2 * math.prod(outputs[0]) * (outputs[1][-2] if len(outputs) > 1 and outputs[1] else inputs[0][1])


def _inner(inputs: Sequence[Shape], outputs: Sequence[Shape], attributes: Attributes) -> int:
    """Every element of a product of matrices takes as many multiplications as they have in common."""
    place = -1
    if attributes.get("transA"):
        place = 0 if attributes.get("transBatchA") else -2
    return math.prod(outputs[0]) * inputs[0][place]


def _recurrent(inputs: Sequence[Shape], outputs: Sequence[Shape], attributes: Attributes) -> int:
    """Each step of each sequence meets every input weight and every recurrent weight once."""
    return inputs[0][0] * inputs[0][1] * (math.prod(inputs[1]) + math.prod(inputs[2]))


def _einsum(inputs: Sequence[Shape], outputs: Sequence[Shape], attributes: Attributes) -> int:
    """Operands meet two by two, once for every combination of their indices, in the order that costs least."""
    equation = attributes["equation"]
    if not isinstance(equation, str):
        raise TypeError
    sizes: dict[str, int] = {}
    terms = []
    left, arrow, right = equation.replace(" ", "").partition("->")
    for term, shape in zip(left.split(","), inputs, strict=True):
        before, dots, after = term.partition("...")
        hidden = [f".{k}" for k in range(len(shape) - len(before) - len(after), 0, -1)] if dots else []
        for index, size in zip([*before, *hidden, *after], shape, strict=True):
            sizes[index] = size if sizes.get(index, 1) == 1 else sizes[index]
        terms.append(frozenset([*before, *hidden, *after]))
    counts = Counter(letter for letter in left if letter not in ".,")
    kept = set(right) if arrow else {letter for letter, n in counts.items() if n == 1}
    return _cheapest(terms, kept | {index for index in sizes if index.startswith(".")}, sizes)


def _cheapest(terms: Sequence[frozenset[str]], kept: Collection[str], sizes: Mapping[str, int]) -> int:
    """Return the least multiplications of terms that are contracted two by two, by subsets; from left where many."""
    n = len(terms)

    def left(part: int) -> frozenset[str]:
        """Return the indices of a product of terms that are still needed."""
        inside = [terms[k] for k in range(n) if part >> k & 1]
        if len(inside) == 1:
            return inside[0]
        outside = set(kept).union(*(terms[k] for k in range(n) if not part >> k & 1))
        return frozenset().union(*inside) & outside

    needed: dict[int, frozenset[str]] = {}
    cost: dict[int, int] = {}
    if n > _MOST_OPERANDS:
        parts = [(1 << k) - 1 for k in range(1, n + 1)] + [1 << k for k in range(n)]
    else:
        parts = list(range(1, 1 << n))
    for part in sorted(parts):
        needed[part] = left(part)
        if part & (part - 1) == 0:
            cost[part] = 0
            continue
        halves = [part ^ (1 << (part.bit_length() - 1))] if n > _MOST_OPERANDS else _halves(part)
        cost[part] = min(
            cost[half] + cost[part ^ half] + math.prod(sizes[i] for i in needed[half] | needed[part ^ half])
            for half in halves
        )
    return cost[(1 << n) - 1]


def _halves(part: int) -> Iterator[int]:
    """Yield one half of every way to part a set in two, as bits: that with its last element."""
    last = 1 << (part.bit_length() - 1)
    rest = half = part ^ last
    while half:
        half = (half - 1) & rest
        yield half | last


#: More operands than an Einsum is contracted in the best order of.
_MOST_OPERANDS = 8
#: The attributes that rules read.
READ_ATTRIBUTES = frozenset({"transA", "transBatchA", "equation"})
_RUNTIME = "com.microsoft"


def _runtime(*names: str, of: str = _RUNTIME) -> tuple[str, ...]:
    """Return the operators of onnxruntime of these names."""
    return tuple(f"{of}:{name}" for name in names)


# every element of the output takes the product of the weight's sizes but the first, its own channel
_CONVOLUTIONS = ("Conv", "ConvInteger", "DeformConv", *_runtime("FusedConv", "NhwcConv", "NhwcFusedConv"))
_PRODUCTS = (
    *("MatMul", "MatMulInteger", "QLinearMatMul"),
    *_runtime("FusedMatMul", "FusedMatMulActivation", "TransposeMatMul", "GemmFastGelu", "DynamicQuantizeMatMul"),
    *_runtime("MatMulInteger16", "MatMulIntegerToFloat", "MatMulNBits", "MatMulBnb4", "MatMulFpQ4"),
)
#: The rules by ONNX's operator name, of the shapes of inputs and outputs and the attributes.
COUNTED: Mapping[str, _Rule] = MappingProxyType(
    {
        **dict.fromkeys(
            (*_CONVOLUTIONS, *_runtime("Conv", of=f"{_RUNTIME}.nchwc")),
            lambda x, y, a: math.prod(y[0]) * math.prod(x[1][1:]),
        ),
        **dict.fromkeys(
            ("QLinearConv", *_runtime("QLinearConv")), lambda x, y, a: math.prod(y[0]) * math.prod(x[3][1:])
        ),
        # every element of the input does
        **dict.fromkeys(
            ("ConvTranspose", *_runtime("ConvTransposeWithDynamicPads")),
            lambda x, y, a: math.prod(x[0]) * math.prod(x[1][1:]),
        ),
        **dict.fromkeys(_PRODUCTS, _inner),
        **dict.fromkeys(
            ("Gemm", *_runtime("FusedGemm", "QGemm", "GemmFloat8")),
            lambda x, y, a: math.prod(y[0]) * x[0][0 if a.get("transA") else 1],
        ),
        "Einsum": _einsum,
        **dict.fromkeys(("RNN", "GRU", "LSTM", *_runtime("DynamicQuantizeLSTM")), _recurrent),
        "Attention": _attention,
        f"{_RUNTIME}:Attention": _projecting_attention(4),
        f"{_RUNTIME}:QAttention": _projecting_attention(8),
        f"{_RUNTIME}:MultiHeadAttention": _multi_head_attention,
        f"{_RUNTIME}:GroupQueryAttention": _group_query_attention,
    }
)
_FREE = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Bernoulli BitCast BitShift
BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress Concat
Constant ConstantOfShape Cos Cosh CumProd CumSum DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Elu
Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gelu GlobalAveragePool GlobalLpPool
GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Hardmax Identity
InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization
LpPool Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization Min Mish Mod Mul Multinomial Neg
NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow QuantizeLinear RMSNormalization RandomNormal RandomNormalLike
RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round
Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign
SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh TensorScatter ThresholdedRelu Tile TopK Transpose Trilu
Unique Unsqueeze Upsample Where Xor
"""
#: Operators of onnxruntime that are made of such, fused or on quantised numbers.
_FREE_RUNTIME = """
BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu BitmaskBiasDropout BitmaskDropout CropAndResize DequantizeLinear
EmbedLayerNormalization ExpandDims FastGelu GatherBlockQuantized GatherND Gelu GemmaRotaryEmbedding GridSample GroupNorm
IsAllFinite MaxpoolWithMask NhwcMaxPool Pad QEmbedLayerNormalization QLinearAdd QLinearAveragePool QLinearConcat
QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere
QuantizeLinear QuickGelu Range ReduceSumInteger RemovePadding RestorePadding RotaryEmbedding ScaledSiLU SkipGroupNorm
SkipLayerNormalization SkipSimplifiedLayerNormalization SwiGLU TorchEmbedding Trilu Unique
"""
_FREE_BLOCKED = "AveragePool GlobalAveragePool GlobalMaxPool MaxPool ReorderInput ReorderOutput Upsample"
#: Operators that published counts leave out: element by element, normalisation, pooling, interpolation, moving data.
FREE = frozenset(
    [
        *_FREE.split(),
        *_runtime(*_FREE_RUNTIME.split()),
        *_runtime(*_FREE_BLOCKED.split(), of=f"{_RUNTIME}.nchwc"),
        # ONNX's own in onnxruntime, or of the versions before 1.0
        *("Affine", "Crop", "ImageScaler", "MemcpyFromHost", "MemcpyToHost", "ParametricSoftplus", "Scale"),
        *("ScaledTanh", "SimplifiedLayerNormalization"),
    ]
)
