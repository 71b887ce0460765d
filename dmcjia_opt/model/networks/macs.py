"""MACs of one operator from the shapes of its tensors.

The rules of published counts: a multiplication with a weight or of two matrices counts, and the bias, activations,
normalisation, pooling, interpolation and moving of data do not. The names are ONNX's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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


def _einsum(inputs: Sequence[Shape], outputs: Sequence[Shape], attributes: Attributes) -> int:
    """Two operands meet once for every combination of their indices; more are multiplied one after the other."""
    equation = attributes["equation"]
    if not isinstance(equation, str):
        raise TypeError
    sizes: dict[str, int] = {}
    for term, shape in zip(equation.replace(" ", "").split("->")[0].split(","), inputs, strict=True):
        before, dots, after = term.partition("...")
        hidden = [f".{k}" for k in range(len(shape) - len(before) - len(after), 0, -1)] if dots else []
        for index, size in zip([*before, *hidden, *after], shape, strict=True):
            sizes[index] = max(size, sizes.get(index, 1))
    return math.prod(sizes.values()) * (len(inputs) - 1)


#: The rules by ONNX's operator name, of the shapes of inputs and outputs and the attributes.
COUNTED: Mapping[str, _Rule] = MappingProxyType(
    {
        # every element of the output takes the product of the weight's sizes but the first, its own channel
        **dict.fromkeys(("Conv", "ConvInteger", "DeformConv"), lambda x, y, a: math.prod(y[0]) * math.prod(x[1][1:])),
        "QLinearConv": lambda x, y, a: math.prod(y[0]) * math.prod(x[3][1:]),
        # every element of the input does
        "ConvTranspose": lambda x, y, a: math.prod(x[0]) * math.prod(x[1][1:]),
        **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), lambda x, y, a: math.prod(y[0]) * x[0][-1]),
        "Gemm": lambda x, y, a: math.prod(y[0]) * x[0][0 if a.get("transA") else 1],
        "Einsum": _einsum,
        # each step of each sequence meets every input weight and every recurrent weight once
        **dict.fromkeys(
            ("RNN", "GRU", "LSTM"), lambda x, y, a: x[0][0] * x[0][1] * (math.prod(x[1]) + math.prod(x[2]))
        ),
        "Attention": _attention,
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
#: Operators that published counts leave out: element by element, normalisation, pooling, interpolation, moving data.
FREE = frozenset(_FREE.split())
