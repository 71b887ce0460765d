"""PyTorch modules read as graphs, through ``torch.export``.

The program is made functional first: what is written in place, through a view of a tensor as well, becomes a tensor of
its own that later operators read.
"""

from __future__ import annotations

import math
import operator
import warnings
from typing import TYPE_CHECKING, Any

from dmcjia_opt.base.errors import BackendMissing, InputError
from dmcjia_opt.base.machine import installing
from dmcjia_opt.model.networks.graph import Network, Operation, Tensor
from dmcjia_opt.model.networks.macs import Attributes, Shape, count_macs

if TYPE_CHECKING:
    import torch

#: ONNX's name of each ATen operator with MACs, whose rules are counted there, and which arguments are its inputs.
_AS_ONNX = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), ("Conv", (0, 1))),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), ("ConvTranspose", (0, 1))),
    **dict.fromkeys(("linear", "matmul", "mm", "bmm", "mv", "dot"), ("MatMul", (0, 1))),
    **dict.fromkeys(("addmm", "baddbmm", "addmv", "addbmm"), ("MatMul", (1, 2))),
    "scaled_dot_product_attention": ("Attention", (0, 1, 2)),
}
_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
#: Operators without MACs that torch does not tag as pointwise, as a reduction or as a view.
_FREE = """
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d alias all amax amin
any arange argmax argmin as_strided_scatter avg_pool1d avg_pool2d avg_pool3d batch_norm bernoulli bucketize cat
channel_shuffle chunk clone concat constant_pad_nd contiguous copy count_nonzero cumprod cumsum detach diagonal_scatter
dropout dropout_ embedding empty empty_like expand expand_as feature_dropout flatten flip full full_like gather glu
grid_sampler group_norm index index_put index_select instance_norm layer_norm lift_fresh_copy local_response_norm
log_softmax logsumexp masked_fill masked_select max max_pool1d max_pool2d max_pool2d_with_indices max_pool3d mean
meshgrid min movedim narrow native_batch_norm native_group_norm native_layer_norm new_empty new_full new_ones new_zeros
norm one_hot ones ones_like pad permute pixel_shuffle pixel_unshuffle prod reflection_pad1d reflection_pad2d repeat
repeat_interleave replication_pad2d reshape rms_norm roll rsqrt scalar_tensor scatter scatter_add select select_scatter
slice slice_scatter softmax sort split split_with_sizes squeeze stack std sum swapaxes sym_size t tile to topk
transpose tril triu type_as unbind unflatten unfold unsqueeze upsample_bicubic2d upsample_bilinear2d upsample_linear1d
upsample_nearest1d upsample_nearest2d upsample_trilinear3d var view where zeros zeros_like _assert_tensor_metadata
_native_batch_norm_legit _native_batch_norm_legit_no_training _to_copy
"""
FREE = frozenset(_FREE.split())


def trace(module: torch.nn.Module, example: torch.Tensor | tuple[torch.Tensor, ...], name: str = "") -> Network:
    """Return the data flow of a PyTorch module.

    Parameters
    ----------
    module
        The module; it is traced in evaluation mode, in which it is left again if it was.
    example
        Its input, or a tuple of its inputs.
    name
        The network's name; the class of the module if empty.

    Raises
    ------
    InputError
        If ``torch.export`` cannot trace the module, or it leaves something behind for the next task.
    BackendMissing
        If torch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise BackendMissing(f"profiling a PyTorch module needs {error.name}; {installing('torch')}") from None
    title = name or type(module).__name__
    training = module.training
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch warns of its own insides
            program = torch.export.export(module.eval(), example if isinstance(example, tuple) else (example,))
            program = program.run_decompositions({})  # of nothing: all it does is to write nothing in place
    except Exception as error:  # noqa: BLE001 - whatever stops the export is an unsuitable module, and is named
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(f"torch.export cannot trace {title}: {reason}") from None
    finally:
        module.train(training)
    parameters = sum(p.numel() for p in module.parameters())
    return _Reader(program, title).network(parameters)


class _Reader:
    """Turns an exported program into a network.

    A tuple that an operator returns is replaced by its elements, which the ``getitem`` nodes after it name.
    """

    def __init__(self, program: torch.export.ExportedProgram, name: str) -> None:
        self._nodes = list(program.graph.nodes)
        self._name = name
        self._written = dict(program.graph_signature.buffers_to_mutate)  # the buffer by the value left in it
        self._changed = dict(program.graph_signature.user_inputs_to_mutate)  # and the input
        self._inputs = tuple(program.graph_signature.user_inputs)
        self._outputs = tuple(o for o in program.graph_signature.user_outputs if isinstance(o, str))
        self._constants: set[str] = set()
        self._tensors: dict[str, Tensor] = {}
        self._parts: dict[str, tuple[str, ...]] = {}  # a tuple's elements that are read

    def network(self, parameters: int) -> Network:
        for node in self._nodes:
            if node.target is operator.getitem:
                whole = str(node.args[0])
                self._parts[whole] = (*self._parts.get(whole, ()), node.name)
        operations = []
        for i, node in enumerate(self._nodes):
            if node.op == "placeholder":
                if node.name in self._inputs:
                    self._add(node.name, node.meta["val"])
                else:
                    self._constants.add(node.name)
            elif node.target is operator.getitem:
                if str(node.args[0]) in self._constants:
                    self._constants.add(node.name)
            elif node.op in ("call_function", "get_attr"):
                operations += self._operation(i, node)
        self._check_written()
        return Network(
            name=self._name,
            operations=tuple(operations),
            tensors=self._tensors,
            inputs=tuple(name for name in self._inputs if name in self._tensors),
            outputs=tuple(name for name in self._outputs if name in self._tensors),
            parameters=parameters,
            source="computed from a PyTorch module",
        )

    def _check_written(self) -> None:
        """Refuse a value that stays in a buffer or an input, unless the outputs are made from it, too."""
        for name, buffer in self._written.items():
            if name not in self._constants:
                raise InputError(
                    f'{self._name} writes to its buffer "{buffer}" for the next task to find, which a cut would keep '
                    "from one of its sides; make it an input and return what is new of it"
                )
        read, by_name = set(self._outputs), {node.name: node for node in self._nodes}
        stack = list(read & by_name.keys())
        while stack:
            more = {node.name for node in by_name[stack.pop()].all_input_nodes} - read
            read |= more
            stack += more
        for name, given in self._changed.items():
            if name not in read:
                raise InputError(
                    f'{self._name} writes to its input "{given}" what no output is made from, which would be lost; '
                    "return it"
                )

    def _operation(self, i: int, node: torch.fx.Node) -> list[Operation]:
        """Return the operation of a node, none if it is constant."""
        read = [n.name for n in node.all_input_nodes]
        flowing = tuple(name for name in read if name not in self._constants)
        if not flowing:
            self._constants.add(node.name)
            return []
        value = node.meta.get("val")
        kind = str(node.target).removeprefix("aten.").split(".")[0]
        if isinstance(value, tuple | list):
            made = self._parts.get(node.name, ())
            by_name = {n.name: n.meta["val"] for n in node.users}
            for name in made:
                self._add(name, by_name[name])
        elif hasattr(value, "shape"):
            made = (node.name,)
            view = bool(getattr(node.target, "is_view", False)) and flowing[0] in self._tensors
            self._add(node.name, value, self._tensors[flowing[0]] if view else None)
        else:
            self._constants.add(node.name)  # a size: both sides know it
            return []
        macs = self._macs(kind, node)
        weights = tuple(
            (n.name, float(n.meta["val"].numel() * n.meta["val"].element_size()))
            for n in node.all_input_nodes
            if n.name in self._constants and hasattr(n.meta.get("val"), "numel") and n.meta["val"].numel() > 1
        )
        return [Operation(node.name, kind, flowing, made, macs or 0, i, macs is not None, weights)]

    def _macs(self, kind: str, node: torch.fx.Node) -> int | None:
        value: Any = node.meta["val"]
        outputs = [_shape(value[0] if isinstance(value, tuple | list) else value)]
        attributes: Attributes = {}
        if kind in _AS_ONNX:
            rule, which = _AS_ONNX[kind]
            return count_macs(rule, [_shape_of(node.args[k]) for k in which], outputs, attributes)
        if kind == "einsum":
            operands: Any = node.args[1]
            attributes = {"equation": node.args[0]}
            return count_macs("Einsum", list(map(_shape_of, operands)), outputs, attributes)
        if kind in _RECURRENT:
            weights: Any = node.args[2]
            steps = math.prod(_shape_of(node.args[0])[:-1])
            return steps * sum(math.prod(s) for s in map(_shape_of, weights) if len(s) == 2)
        if kind in FREE or getattr(node.target, "is_view", False):
            return 0
        tags = {str(tag) for tag in getattr(node.target, "tags", ())}
        return 0 if tags & {"Tag.pointwise", "Tag.reduction", "Tag.view_copy"} else None

    def _add(self, name: str, value: Any, origin: Tensor | None = None) -> None:  # noqa: ANN401 - a fake tensor
        shape, size = _shape(value), float(value.element_size())
        whole = origin is not None and math.prod(origin.shape) == math.prod(shape) and origin.item_bytes == size
        data = origin.data if origin is not None and whole else name
        dtype = str(value.dtype).removeprefix("torch.")
        self._tensors[name] = Tensor(name, shape, size, bool(value.is_floating_point()), data, dtype)


def _shape_of(node: Any) -> Shape:  # noqa: ANN401 - a node of torch.fx
    return _shape(node.meta["val"])


def _shape(value: Any) -> Shape:  # noqa: ANN401 - a fake tensor
    return tuple(int(size) for size in value.shape)
