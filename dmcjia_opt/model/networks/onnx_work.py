"""The work of one ONNX operator: MACs by the rules, or what its weights say of an operator that no rule knows."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.limits import MOST
from dmcjia_opt.model.networks.macs import READ_ATTRIBUTES, count_macs
from dmcjia_opt.model.networks.onnx_facts import Facts, Work
from dmcjia_opt.model.networks.onnx_graph import kind_of, made_by, reads_of

if TYPE_CHECKING:
    import onnx

_INDICES = ("INT32", "INT64", "BOOL", "UINT32", "UINT64", "STRING")


def work_of(node: onnx.NodeProto, facts: Facts) -> Work:
    """Return the work of an operator of a graph whose facts are known.

    Raises
    ------
    InputError
        If the shapes do not fit it, or it has more work than can be.
    """
    inside = facts.work.get(next(iter(made_by(node)), ""))
    if inside is not None:
        return inside
    shapes = [[facts.shape(name) if name else None for name in names] for names in (node.input, node.output)]
    try:
        macs = count_macs(kind_of(node), shapes[0], shapes[1], _attributes(node))
    except InputError as error:
        open_one = next((name for name in node.input if name and facts.shape(name) is None), None)
        if open_one is not None:
            raise InputError(
                f'the shape of "{open_one}", which operator "{node.name}" ({kind_of(node)}) reads, cannot be known '
                "before running; replace the operator that makes it, or end the network before that with --outputs"
            ) from None
        raise InputError(
            f'operator "{node.name}": {error}; give the inputs other shapes, or export the model anew'
        ) from None
    if macs is None:
        return Work(unknown=Counter([kind_of(node)]), estimate=min(_least(node, facts), int(MOST)))
    return Work(check_work(node, macs))


def check_work(node: onnx.NodeProto, macs: int) -> int:
    """Return MACs, unless no machine could do them.

    Raises
    ------
    InputError
        If so.
    """
    if macs > MOST:
        raise InputError(f'operator "{node.name}" has more than {MOST:g} MACs; correct the shapes of its inputs')
    return macs


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    """Return the attributes that rules read, except those of another type than they have."""
    from onnx import AttributeProto

    found: dict[str, object] = {}
    for attribute in node.attribute:
        if attribute.name in READ_ATTRIBUTES:
            if attribute.type == AttributeProto.STRING:
                found[attribute.name] = attribute.s.decode("utf-8", "replace")
            elif attribute.type == AttributeProto.INT:
                found[attribute.name] = attribute.i
            elif attribute.type == AttributeProto.INTS:
                found[attribute.name] = tuple(attribute.ints)
    return found


def _least(node: onnx.NodeProto, facts: Facts) -> int:
    """Return MACs that an operator which no rule knows has at least, if its weights are used as others are.

    A weight matrix meets every place of the output once, whose channels are at most its largest size. What lies over
    the output element by element is no such weight, and what is only looked up by number is not multiplied.
    """
    flowing = [name for name in reads_of(node) if name not in facts.constants]
    if not flowing or all(facts.kind(name) in _INDICES for name in flowing):
        return 0
    made = next((shape for shape in map(facts.shape, made_by(node)) if shape is not None), ())
    total = 0
    for name in dict.fromkeys(node.input):
        shape = facts.shape(name) if name in facts.constants else None
        if shape is None or sum(size > 1 for size in shape) < 2 or facts.kind(name) in _INDICES:
            continue
        over = len(shape) <= len(made) and all(
            size in (1, other) for size, other in zip(reversed(shape), reversed(made), strict=False)
        )
        if not over:
            total += math.prod(shape) * math.prod(made) // max(shape)
    return total
