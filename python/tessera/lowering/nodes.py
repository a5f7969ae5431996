# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Lowering one node: by a rule, through its decomposition, or not at all."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from tessera import _core
from tessera.capture.decompose import trace_decomposition
from tessera.capture.leaves import TensorSpec, leaf_call
from tessera.errors import InternalError, RegistrationError
from tessera.lowering.complexes.lower import lower_complex, takes_complex
from tessera.lowering.complexes.value import ComplexValue, complex_constant
from tessera.lowering.context import GraphValue, LoweringContext, NumberValue
from tessera.lowering.control import lower_higher_order
from tessera.lowering.outcome import Done, Failure, Uncrossable
from tessera.lowering.registry import Registry, Rule, Unsupported

MAX_DEPTH = 8
#: Of a tensor that is computed while importing.
MAX_KNOWN_BYTES = 1 << 18
_REGISTER = 'register a lowering with @ts.compat.register_aten("{op}"), or leave it in PyTorch'

#: Operators that only say something about their argument, which the static program knows already.
_ASSERTIONS = {
    "aten::_assert_tensor_metadata",
    "aten::sym_constrain_range",
    "aten::sym_constrain_range_for_size",
    "aten::_assert_scalar",
}
#: Operators that are the identity in a functional inference graph, unless a rule says otherwise.
_IDENTITIES = {
    "aten::detach",
    "aten::detach_",
    "aten::lift_fresh",
    "aten::lift_fresh_copy",
    "aten::alias",
    "aten::requires_grad_",
}
_HIGHER_ORDER = torch._ops.HigherOrderOperator
#: What Python computes with numbers.
_ARITHMETIC: dict[Any, str] = {
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.truediv: "div",
    operator.floordiv: "floor_div",
    operator.mod: "remainder",
    operator.neg: "neg",
    torch.sym_float: "cast",
    math.floor: "floor",
    math.ceil: "ceil",
}


class NodeLowering:
    """Lowers the nodes of one graph into one context."""

    def __init__(
        self,
        context: LoweringContext,
        rules: Registry,
        owner: fx.GraphModule,
        decompositions: dict[fx.Node, fx.GraphModule | None],
    ) -> None:
        self.context = context
        self.rules = rules
        self.owner = owner
        self.decompositions = decompositions
        #: tensors that forward() made from numbers, by their placeholders
        self.constants: dict[fx.Node, torch.Tensor] = {}

    def lower(
        self, node: fx.Node, depth: int = 0, owner: fx.GraphModule | None = None
    ) -> Done | Failure:
        """Lowers `node` and binds its value in the context."""
        owner = owner or self.owner
        if node.op == "get_attr":
            return self._attribute(node, owner)
        call = leaf_call(node)
        if call is not None:
            return Failure(call.leaf.code, call.leaf.reason, call.leaf.remedy)
        for source in node.all_input_nodes:
            if self.context.is_bound(source):
                problem = _uncrossable_inside(self.context.lookup(source), node)
                if problem:
                    return Failure("not-crossable", f"takes a value only PyTorch has: {problem}")
        if node.target is operator.getitem:
            value = self.context.map(node.args[0])[node.args[1]]
            self.context.bind(node, value)
            if isinstance(value, Uncrossable):
                return Failure("not-crossable", value.what)
            return Done(reported=False)
        if takes_complex(node) and not _says_nothing_of_values(node):
            return lower_complex(self, node, depth)
        if isinstance(node.target, _HIGHER_ORDER):
            return lower_higher_order(self, node, depth)
        if not isinstance(node.target, torch._ops.OpOverload):
            return self._python(node)
        return self._operator(node, depth)

    # --- kinds of nodes -------------------------------------------------------------------

    def _attribute(self, node: fx.Node, owner: fx.GraphModule) -> Done | Failure:
        value: Any = owner
        for part in str(node.target).split("."):
            value = getattr(value, part)
        if isinstance(value, torch.Tensor):
            try:
                made = (
                    complex_constant(self.context, value)
                    if value.dtype.is_complex
                    else self.context.constant(value)
                )
                self.context.bind(node, made)
            except Unsupported as error:
                return Failure(error.code, error.reason, error.remedy)
        else:
            self.context.bind(node, value)
        return Done(reported=False)

    def _python(self, node: fx.Node) -> Done | Failure:
        """Arithmetic on sizes: done now, as everything it needs is known. On numbers that the
        program reads: an op of the graph."""
        if not callable(node.target):
            return Failure("unknown-target", f"{node.target} is no operator")
        args = self.context.get_inputs(node)
        if node.target in _ARITHMETIC and any(isinstance(item, NumberValue) for item in args):
            return self._arithmetic(node, args)
        kwargs = self.context.get_kwargs(node)
        leaves = pytree.tree_leaves((args, kwargs))
        if any(
            isinstance(leaf, (GraphValue, torch.SymInt, torch.SymFloat, torch.SymBool))
            for leaf in leaves
        ):
            return Failure("python-call", f"calls the Python function {node.target}")
        self.context.bind(node, node.target(*args, **kwargs))
        return Done(reported=False)

    def _arithmetic(self, node: fx.Node, args: list[Any]) -> Done | Failure:
        op = _ARITHMETIC[node.target]
        dtype = self.context.result_type(*args)
        if dtype.is_floating_point or op in ("div", "cast"):
            dtype = torch.float64  # Python's
        if dtype == torch.bool or any(isinstance(item, torch.SymInt) for item in args):
            return Failure("python-call", f"calls the Python function {node.target}")
        operands = [self.context.value(item, dtype) for item in args]
        whole = op in ("floor", "ceil")
        if op == "cast" or (whole and not dtype.is_floating_point):
            value = operands[0]
        else:
            value = self.context.emit(op, operands)
        value = self.context.cast(value, torch.int64) if whole else value
        self.context.bind(node, NumberValue(self.context, value.handle))
        return Done("compiled", f"graph.{op}")

    def _operator(self, node: fx.Node, depth: int) -> Done | Failure:
        target = node.target
        assert isinstance(target, torch._ops.OpOverload)
        failure: Failure | None = None
        if self._is_empty(node):
            return Done("folded", "has no elements")
        decompose_first = self.rules.user_overrides_inside(target)
        if not decompose_first:
            for rule in self.rules.lookup(target):
                outcome = self._apply(rule, node)
                if isinstance(outcome, Done):
                    return outcome
                failure = outcome or failure
                if failure is not None and failure.whole:
                    return failure
        name = target._schema.name
        if failure is None and name in _ASSERTIONS and node.meta.get("val") is None:
            return Done("folded", reported=False)
        if failure is None and name in _IDENTITIES:
            value = self.context.map(node.args[0])
            self.context.bind(node, value)
            return Done("folded", "identity")
        decomposed = self._decompose(node, depth)
        if isinstance(decomposed, Done):
            return decomposed
        if failure is None and self._is_known(node):
            return Done("folded", "known while importing")
        if decompose_first:
            for rule in self.rules.lookup(target):
                outcome = self._apply(rule, node)
                if isinstance(outcome, Done):
                    return outcome
                failure = outcome or failure
        if failure is not None:
            return failure
        inside = f": its decomposition needs {decomposed.reason}" if decomposed else ""
        return Failure(
            "no-lowering",
            f"{target} has no lowering{inside}",
            _REGISTER.format(op=target),
        )

    def _is_known(self, node: fx.Node) -> bool:
        """Computes now what is made from nothing but numbers: windows, ranges, tables."""
        meta = node.meta.get("val")
        assert isinstance(node.target, torch._ops.OpOverload)
        if (
            node.all_input_nodes
            or torch.Tag.nondeterministic_seeded in node.target.tags
            or not isinstance(meta, torch.Tensor)
            or meta.device.type != "cpu"
            or meta.layout != torch.strided
            or meta.numel() * meta.element_size() > MAX_KNOWN_BYTES
        ):
            return False
        try:
            value = self.context.constant(node.target(*node.args, **node.kwargs))
        except Unsupported:
            return False
        self.context.bind(node, value)
        return True

    def _is_empty(self, node: fx.Node) -> bool:
        """Binds results without elements: whatever the operator does, they have no values."""
        meta = node.meta.get("val")
        target = node.target
        assert isinstance(target, torch._ops.OpOverload)
        tensors = pytree.tree_leaves(meta)
        if target.namespace != "aten" or target._schema.is_mutable or not tensors:
            return False
        if not all(rule.builtin for rule in self.rules.lookup(target)):
            return False
        if any(
            not isinstance(item, torch.Tensor)
            or item.layout != torch.strided
            or 0 not in item.shape
            for item in tensors
        ):
            return False
        try:
            value = pytree.tree_map(
                lambda item: self.context.constant(torch.empty(item.shape, dtype=item.dtype)), meta
            )
        except Unsupported:
            return False
        self.context.bind(node, value)
        return True

    # --- rules ----------------------------------------------------------------------------

    def _apply(self, rule: Rule, node: fx.Node) -> Done | Failure | None:
        """One rule; None when its validator declines without a reason."""
        what = "lowering"
        natives = len(self.context.natives)
        try:
            if rule.validate is not None:
                what = "validator of the lowering"
                verdict = rule.validate(node, self.context)
                if isinstance(verdict, str):
                    return Failure("declined", verdict, "")
                if verdict is False:
                    return None
                if verdict is not None and verdict is not True:
                    raise RegistrationError(
                        f"the validator of {rule.name} returned {verdict!r}",
                        remedy="return True or None to accept, False to pass the node on, or a "
                        "string: the reason why it stays in PyTorch",
                    )
                what = "lowering"
            result = rule.lower(node, self.context)
        except Unsupported as error:
            if len(self.context.natives) > natives:
                # The call stays in the graph: nobody else may take it out.
                raise RegistrationError(
                    f"the lowering {rule.name} of {node.target} declined ({error.reason}) after it "
                    "had called a native kernel",
                    remedy="decide before, or with validate=",
                ) from error
            return Failure(error.code, error.reason, error.remedy, error.whole)
        except (InternalError, RegistrationError):
            if self._takes_number(node):
                return self._number_refused(node)
            raise
        except Exception as error:
            if self._takes_number(node):
                return self._number_refused(node)
            place = f"the {what} {rule.name} of {node.target} raised {type(error).__name__}"
            if rule.builtin:
                raise InternalError(f"{place}: {error}") from error
            raise RegistrationError(f"{place}: {error}") from error
        if self._takes_number(node) and _difference(result, self.context.meta(node)):
            return self._number_refused(node)
        self.context.bind(node, self._checked(rule, node, result))
        return Done("compiled", rule.name)

    def _takes_number(self, node: fx.Node) -> bool:
        """Whether an argument is a number that only the call knows; not every rule takes those."""
        return any(
            isinstance(self.context.lookup(source), NumberValue) for source in node.all_input_nodes
        )

    def _number_refused(self, node: fx.Node) -> Failure:
        return Failure(
            "dynamic-number",
            f"{node.target} takes a number that depends on data",
            "pass the tensor it is read from, without item()",
        )

    def _checked(self, rule: Rule, node: fx.Node, result: Any) -> Any:
        """`result`, which must have the structure, shapes and dtypes PyTorch foretells."""
        problem = _difference(result, self.context.meta(node))
        if not problem:
            return result
        message = f"the lowering {rule.name} of {node.target} {problem}"
        if rule.builtin:
            raise InternalError(message)
        raise RegistrationError(
            message,
            remedy="return the graph value (or the tuple of them) that ctx.emit or a ts.ops "
            "function gave, with the shape and dtype of ctx.meta(node)",
        )

    # --- decomposition --------------------------------------------------------------------

    def _decompose(self, node: fx.Node, depth: int) -> Done | Failure | None:
        if depth >= MAX_DEPTH:
            return None
        if node not in self.decompositions:
            self.decompositions[node] = trace_decomposition(node)
        body = self.decompositions[node]
        if body is None:
            return None
        operands = [
            self.context.map(item)
            for item in pytree.tree_leaves((node.args, node.kwargs))
            if isinstance(item, fx.Node) and isinstance(item.meta.get("val"), torch.Tensor)
        ]
        outcome = self.inline(node, body, operands, depth)
        if isinstance(outcome, Failure):
            return outcome
        problem = self.difference(node)
        if problem:
            raise InternalError(f"the decomposition of {node.target} {problem}")
        names = dict.fromkeys(
            str(inner.target) for inner in body.graph.nodes if inner.op == "call_function"
        )
        return Done("decomposed", ", ".join(names))

    def difference(self, node: fx.Node) -> str:
        """How the value bound to a node differs from what PyTorch foretells; "" if not."""
        return _difference(self.context.lookup(node), self.context.meta(node))

    def inline(
        self, node: fx.Node, body: fx.GraphModule, operands: list[Any], depth: int
    ) -> Done | Failure:
        """Lowers the nodes of `body` in place of `node`."""
        values = iter(operands)
        for inner in body.graph.nodes:
            if inner.op == "placeholder":
                self.context.bind(inner, next(values))
            elif inner.op == "output":
                result = self.context.map(inner.args[0])
                self.context.bind(node, result)
            else:
                outcome = self.lower(inner, depth + 1, body)
                if isinstance(outcome, Failure):
                    return Failure(
                        outcome.code, f"{inner.target} ({outcome.reason})", outcome.remedy
                    )
        return Done()


def _difference(result: Any, expected: Any) -> str:
    """How `result` differs in structure, shape or dtype from the fake `expected`; "" if not."""
    several = isinstance(expected, (tuple, list))
    got = list(result) if isinstance(result, (tuple, list)) else [result]
    wanted = list(expected) if several else [expected]
    if len(got) != len(wanted) or isinstance(result, (tuple, list)) != several:
        return f"returned {_show(result)} where {_show(expected)} is expected"
    for index, (value, meta) in enumerate(zip(got, wanted, strict=True)):
        if isinstance(meta, torch.Tensor):
            # One of several results may be None: a lowering leaves out what nobody reads.
            same = (several and value is None) or (
                isinstance(value, (GraphValue, ComplexValue))
                and value.shape == tuple(meta.shape)
                and value.dtype == meta.dtype
            )
        else:
            number = isinstance(value, NumberValue)
            same = meta is None or number or not isinstance(value, GraphValue)
        if not same:
            place = f"result {index}: " if several else ""
            return f"returned {place}{_show_result(value)} where {_show(meta)} is expected"
    return ""


def _says_nothing_of_values(node: fx.Node) -> bool:
    """Whether a node is the same to complex numbers as to others."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.name in _IDENTITIES | _ASSERTIONS


def _uncrossable_inside(value: Any, user: fx.Node) -> str | None:
    if isinstance(value, Uncrossable):
        return value.what
    if isinstance(value, (tuple, list)) and user.target is not operator.getitem:
        return next((item.what for item in value if isinstance(item, Uncrossable)), None)
    return None


def _show_result(value: Any) -> str:
    # Not by type alone, which may be the one that is expected.
    if isinstance(value, torch.Tensor):
        return f"a torch.Tensor ({TensorSpec.of(value)}) instead of a graph value"
    if isinstance(value, _core.Tensor):
        return "a ts.Tensor instead of a graph value"
    return _show(value)


def _show(value: Any) -> str:
    if isinstance(value, (GraphValue, ComplexValue)):
        return str(TensorSpec(value.shape, value.dtype))
    if isinstance(value, torch.Tensor):
        return str(TensorSpec.of(value))
    if isinstance(value, (tuple, list)):
        return f"({', '.join(_show(item) for item in value)})"
    return f"{type(value).__name__} {value!r}"
