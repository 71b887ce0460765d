"""The types of what one ONNX node makes, from the types of what it reads.

ONNX infers its own operators. Those of onnxruntime, and of versions that ONNX's own tables lack, onnxruntime infers
where it is installed: a model of that node alone is loaded, and never run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.onnx_facts import Facts, shape_of
from dmcjia_opt.model.networks.onnx_graph import kind_of, made_by, reads_of, subgraphs

if TYPE_CHECKING:
    import onnx

_LOG_FATAL = 4


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """What infers the nodes of one model; equal nodes are inferred by onnxruntime once.

    Parameters
    ----------
    model
        The model, for the versions of operators in it.
    """

    model: onnx.ModelProto
    _known: dict[bytes, tuple[onnx.TypeProto | None, ...]] = field(default_factory=dict)

    def types(self, node: onnx.NodeProto, reads: Sequence[str], facts: Facts) -> dict[str, onnx.TypeProto]:
        """Return the types of what a node makes; nothing if nobody knows the operator.

        Raises
        ------
        InputError
            If the types of what it reads do not fit it.
        """
        from onnx import defs, shape_inference
        from onnx.checker import ValidationError

        if any(name not in facts.types for name in reads):
            return {}
        domain = "" if node.domain == "ai.onnx" else node.domain
        imports = self.model.opset_import
        version = next((o.version for o in imports if o.domain in (domain, domain or "ai.onnx")), None)
        if version is None:
            return {}
        try:
            schema = defs.get_schema(node.op_type, version, domain)
        except defs.SchemaError:
            return self._by_runtime(node, facts)
        try:
            found: dict[str, onnx.TypeProto] = shape_inference.infer_node_outputs(
                schema,
                node,
                {name: facts.types[name] for name in reads},
                {name: facts.values[name] for name in reads if name in facts.values},
                opset_imports=list(imports),
                ir_version=self.model.ir_version,
            )
        except (ValidationError, shape_inference.InferenceError, ValueError, RuntimeError) as error:
            reason = next(iter(str(error).splitlines()), "")
            raise InputError(
                f'the shapes at operator "{node.name}" ({node.op_type}) do not fit: {reason.rstrip(".")}; give the '
                "inputs other shapes, or export the model anew"
            ) from None
        if domain and any(name not in found or shape_of(found[name]) is None for name in made_by(node)):
            return {**found, **self._by_runtime(node, facts)}
        return found

    def _by_runtime(self, node: onnx.NodeProto, facts: Facts) -> dict[str, onnx.TypeProto]:
        """Return what onnxruntime infers of a node that reads and makes tensors only."""
        from onnx import NodeProto, helper

        made = made_by(node)
        if any(True for _ in subgraphs(node)) or any(shape_of(facts.types[name]) is None for name in reads_of(node)):
            return {}
        plain = NodeProto()
        plain.CopyFrom(node)
        plain.name = ""
        names = {name: f"i{k}" for k, name in enumerate(dict.fromkeys(n for n in node.input if n))}
        plain.input[:] = [names.get(name, "") for name in node.input]
        plain.output[:] = [f"o{k}" if name else "" for k, name in enumerate(node.output)]
        values = [facts.values[name] for name in names if name in facts.values]
        inputs = [
            helper.make_value_info(new, facts.types[name]) for name, new in names.items() if name not in facts.values
        ]
        key = b"\0".join(message.SerializeToString(deterministic=True) for message in (plain, *inputs, *values))
        if key not in self._known:
            self._known[key] = _loaded(self.model, plain, inputs, _stored(facts.values, names))
        found = {name: kind for name, kind in zip(made, self._known[key], strict=True) if kind is not None}
        return found | _grown_caches(node, facts, found)


def _grown_caches(node: onnx.NodeProto, facts: Facts, found: Mapping[str, onnx.TypeProto]) -> dict[str, onnx.TypeProto]:
    """Return the types of caches of keys and values, as long as the past and what is new, which onnxruntime leaves."""
    from onnx.helper import make_tensor_type_proto

    if kind_of(node) != "com.microsoft:GroupQueryAttention":
        return {}
    grown = {}
    query = facts.shape(node.input[0])
    for past, present in zip(node.input[3:5], node.output[1:3], strict=False):
        shape = facts.shape(past)
        if query and shape and len(shape) == 4 and present in found and shape_of(found[present]) is None:
            sizes = [*shape[:2], shape[2] + query[1], shape[3]]
            grown[present] = make_tensor_type_proto(found[present].tensor_type.elem_type, sizes)
    return grown


def _stored(values: Mapping[str, onnx.TensorProto], names: Mapping[str, str]) -> list[onnx.TensorProto]:
    from dmcjia_opt.model.networks.onnx_graph import renamed

    return [renamed(values[name], new) for name, new in names.items() if name in values]


def _loaded(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    inputs: Sequence[onnx.ValueInfoProto],
    values: Collection[onnx.TensorProto],
) -> tuple[onnx.TypeProto | None, ...]:
    """Return the types of what a node makes as onnxruntime reads them off a model of it."""
    from onnx import ValueInfoProto, helper

    names = made_by(node)
    unknown: tuple[None, ...] = (None,) * len(names)
    try:
        import onnxruntime
    except ModuleNotFoundError:
        return unknown
    graph = helper.make_graph([node], "node", list(inputs), [ValueInfoProto(name=name) for name in names], list(values))
    alone = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=max(model.ir_version, 4))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _LOG_FATAL
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(
            alone.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # noqa: BLE001 - onnxruntime's own exceptions have no common base
        return unknown
    return tuple(_type(value.type, value.shape) for value in session.get_outputs())


def _type(name: str, shape: Sequence[int | str | None]) -> onnx.TypeProto | None:
    """Return a type as onnxruntime writes it: ``tensor(float)`` and a list of sizes."""
    from onnx import TensorProto, helper

    called = {"float": "FLOAT", "double": "DOUBLE", "float16": "FLOAT16", "bfloat16": "BFLOAT16"}
    kind = name.removeprefix("tensor(").removesuffix(")")
    known = TensorProto.DataType.DESCRIPTOR.values_by_name.get(called.get(kind, kind.upper()))
    if known is None or not name.startswith("tensor("):
        return None
    return helper.make_tensor_type_proto(known.number, [size if isinstance(size, int) else None for size in shape])
