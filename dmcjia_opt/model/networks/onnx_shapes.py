"""Shapes of every tensor of an ONNX graph, in one pass over its nodes.

Each node is inferred from the shapes before it; the integers that computed shapes are made of are evaluated on the
way, so that a network exported with open sizes needs nothing but the shapes of its inputs. An If whose condition is
among them is replaced by the branch that it takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.limits import MOST_OPERATORS
from dmcjia_opt.model.networks.macs import COUNTED
from dmcjia_opt.model.networks.onnx_bodies import condition, understand
from dmcjia_opt.model.networks.onnx_constants import add_weights, compute, evaluate, shape_value
from dmcjia_opt.model.networks.onnx_facts import Facts, shape_of
from dmcjia_opt.model.networks.onnx_graph import body_of, branch_inlined, kind_of, made_by, reads_of, subgraphs
from dmcjia_opt.model.networks.onnx_inputs import Inputs
from dmcjia_opt.model.networks.onnx_nodes import Inference
from dmcjia_opt.model.networks.onnx_passes import passes_of

if TYPE_CHECKING:
    import onnx


def infer(model: onnx.ModelProto, order: Sequence[int], inputs: Inputs, random: Collection[str]) -> Facts:
    """Return what is known of every tensor; the nodes of the model become those that run.

    Parameters
    ----------
    model
        The model; its value_info may be stale or missing.
    order
        The nodes that matter, each after those it reads from.
    inputs
        What comes in.
    random
        Operators whose output differs from run to run, and so is no constant.

    Raises
    ------
    InputError
        If shapes contradict each other.
    """
    graph = model.graph
    facts = Facts(tuple(inputs.data), {}, {}, set())
    add_weights(list(graph.initializer), graph.sparse_initializer, facts)
    add_weights(list(inputs.values.values()), (), facts)
    facts.types.update(inputs.weights)
    facts.constants.update(inputs.weights)
    facts.types.update(inputs.data)
    walker = _Walker(Inference(model), frozenset(random), inputs.declared)
    nodes = [graph.node[i] for i in order]
    ran = walker.walk(nodes, facts, graph)
    del graph.node[:]
    graph.node.extend(ran)
    return facts


@dataclass(frozen=True, slots=True, eq=False)
class _Walker:
    inference: Inference
    random: frozenset[str]
    declared: Mapping[str, onnx.TypeProto]

    def walk(
        self, nodes: Sequence[onnx.NodeProto], facts: Facts, graph: onnx.GraphProto | None = None
    ) -> list[onnx.NodeProto]:
        """Infer nodes in order; return those that run. Weights of branches that are taken go into `graph`, if any."""
        waiting, ran = deque(nodes), []
        taken = {name for node in nodes for name in made_by(node)} | set(facts.types)
        while waiting:
            node = waiting.popleft()
            yes = condition(node, facts) if kind_of(node) == "If" else None
            branch = None if yes is None else body_of(node, "then_branch" if yes else "else_branch")
            if branch is None:
                try:
                    self._understand(node, facts)
                except InputError as error:
                    raise error if kind_of(node) != "If" else _of_a_branch(node, error) from None
                ran.append(node)
                continue
            inside, weights, sparse = branch_inlined(node, branch, taken)
            taken.update(name for part in inside for name in made_by(part))
            taken.update([w.name for w in weights] + [s.values.name for s in sparse])
            add_weights(weights, sparse, facts)
            if graph is not None:
                graph.initializer.extend(weights)
                graph.sparse_initializer.extend(sparse)
            waiting.extendleft(reversed(inside))
            if len(waiting) + len(ran) > MOST_OPERATORS:
                raise InputError(f"more than {MOST_OPERATORS:,} operators are refused, branches that run included")
        return ran

    def _understand(self, node: onnx.NodeProto, facts: Facts) -> None:
        reads = reads_of(node)
        made = self.inference.types(node, reads, facts)
        if any(name not in made or shape_of(made[name]) is None for name in made_by(node)) and self._computed(
            node, reads, facts
        ):
            made = self.inference.types(node, reads, facts)
        if any(True for _ in subgraphs(node)):
            inside = understand(node, facts, self.walk, partial(passes_of, self.inference.model, self.random))
            made = {name: _better(made.get(name), inside.get(name)) for name in {**inside, **made}}
        for name in made_by(node):
            kind = _better(made.get(name), self.declared.get(name))
            if kind is not None:
                facts.types[name] = kind
        shape = facts.shape(node.input[0]) if node.op_type in ("Shape", "Size") and node.input else None
        if shape is not None and node.output:
            facts.values[node.output[0]] = shape_value(node, shape)
            facts.constants.add(node.output[0])
        elif node.op_type not in self.random and all(name in facts.constants for name in reads):
            facts.constants.update(made_by(node))
            evaluate(self.inference.model, node, facts)

    def _computed(self, node: onnx.NodeProto, reads: Sequence[str], facts: Facts) -> bool:
        """Compute the constants that the shape of what a node makes may be in; return whether there are new ones."""
        if kind_of(node) in COUNTED:
            return False
        found = [compute(self.inference.model, [name], facts) for name in reads if name in facts.constants]
        return any(found)


def _of_a_branch(node: onnx.NodeProto, error: InputError) -> InputError:
    """Return what is wrong in an If whose condition is not known, with what makes it known; of the innermost If."""
    if "--input-value" in str(error):
        return error
    return InputError(
        f'in a branch of the If "{node.name}", which may never be taken: {error}; or give the input that the condition '
        "is made of its value, for instance --input-value NAME=1"
    )


def _better(kind: onnx.TypeProto | None, other: onnx.TypeProto | None) -> onnx.TypeProto | None:
    """Return the first of two types of a tensor, unless only the other one tells its shape."""
    if other is not None and (kind is None or (shape_of(kind) is None and shape_of(other) is not None)):
        return other
    return kind
