# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Finds where a converted model diverges from PyTorch.

The captured program is compiled once more, with every value that enters or leaves a submodule as a
result, and run beside PyTorch in float64. PyTorch's own error in the model's precision says what
may be expected of each value. Where one is wrong, the operators of the innermost module are
compared the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.export.graph_signature import InputKind

from tessera import _core
from tessera.capture.agreement import close, difference
from tessera.capture.export import Captured
from tessera.capture.provenance import location_of, module_path
from tessera.errors import ArgumentError
from tessera.lowering.importer import Imported, crossable_spec, import_program
from tessera.machine_code import bind
from tessera.precision import graph_builder
from tessera.tuning.stored import compile_options
from tessera.verification.reference import ReducedReplay, Replay, WideReplay
from tessera.verification.result import ModuleCheck, Verification

#: How much larger than PyTorch's own error Tessera's may be: its sums run in another order.
TIMES_TORCH = 8.0
#: rtol, atol where PyTorch itself happens to be exact: torch.testing's.
TOLERANCES = {
    torch.float64: (1e-7, 1e-7),
    torch.float32: (1.3e-6, 1e-5),
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
}


@dataclass
class Subject:
    """A captured model with the arguments of one call."""

    name: str
    captured: Captured
    root: nn.Module
    input_names: Sequence[str]
    #: the tensors among the arguments, in the order of the program's inputs
    tensors: Sequence[torch.Tensor]
    threads: int
    rtol: float | None = None
    atol: float | None = None


def verify_program(subject: Subject) -> Verification:
    """Compares every value that enters or leaves a submodule, then the operators of the module that
    computes the first wrong one."""
    nodes = list(subject.captured.program.graph.nodes)
    _refuse_random(subject, nodes)
    result = Verification(subject.name)
    borders = [node for node in nodes if _is_comparable(node) and _crosses_border(node, subject)]
    checks = _compare(subject, borders)
    result.modules = list(checks.values())
    wrong = next((node for node in borders if not checks[node].ok), None)
    if wrong is None:
        return result
    result.first = checks[wrong]
    inside = nodes[: nodes.index(wrong) + 1]
    path = _raw_path(wrong)
    inner = [node for node in inside if _is_comparable(node) and _raw_path(node) == path]
    found = _compare(subject, inner)
    result.operator = next((check for check in found.values() if not check.ok), None)
    if result.operator is None:
        result.notes.append(
            "with each operator's value kept in memory the module is right: what goes wrong is "
            "their fusion into one kernel"
        )
    return result


def check_capture(subject: Subject, found: Verification, eager: Sequence[torch.Tensor]) -> None:
    """Compares what the captured program gives with what forward() gave, run by Python.

    A forward may find out that it is being captured, and compute something else: no operator of
    the program is wrong there. Only differences far beyond any rounding count.
    """
    outputs = [node for node in subject.captured.outputs if isinstance(node, fx.Node)]
    if len(outputs) != len(eager):
        found.notes.append(
            "the results of forward() itself could not be told apart to compare them"
        )
        return
    imported = import_program(
        subject.captured.program, subject.root, input_names=subject.input_names, outputs=[]
    )
    module = subject.captured.program.graph_module
    replayed = Replay(module, outputs).replay(_placeholders(subject, imported))
    for node, wanted in zip(outputs, eager, strict=True):
        value = replayed[node]
        if close(value, wanted):
            continue
        error, allowed = math.inf, 0.0
        if value.shape == wanted.shape:
            error, allowed = difference(value, wanted.to(value.dtype))
        fqn, file, line = location_of(node)
        found.first = ModuleCheck(
            fqn, str(node.target), node.name, file, line, error, 0.0, allowed, ok=False
        )
        found.notes.append(
            "the program computes what was captured, but forward() gives another result when "
            "Python runs it: it may find out that it is being captured"
        )
        return


def _refuse_random(subject: Subject, nodes: Iterable[fx.Node]) -> None:
    for node in nodes:
        if _draws(node):
            raise ArgumentError(
                f"verify: {subject.name} draws random numbers ({node.target} in "
                f"{module_path(node) or 'forward'}), so no two runs agree",
                remedy="call .eval() first, or verify the submodules that draw none",
            )


def _draws(node: fx.Node) -> bool:
    """Whether the node draws random numbers: dropout that does not drop has the tag as well."""
    if torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
        return False
    given = dict(node.kwargs)
    for index, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        default = argument.default_value if argument.has_default_value() else None
        value = node.args[index] if index < len(node.args) else given.get(argument.name, default)
        if argument.name in ("train", "training") and value is False:
            return False
        if argument.name in ("p", "dropout", "dropout_p") and value in (0, 0.0):
            return False
    return True


# --- what is compared -------------------------------------------------------------------------


def _is_comparable(node: fx.Node) -> bool:
    return node.op == "call_function" and crossable_spec(node.meta.get("val")) is not None


def _raw_path(node: fx.Node) -> str:
    """The call of a module a node belongs to: a second call of it is another one."""
    stack = node.meta.get("nn_module_stack")
    return str(next(reversed(stack))) if stack else ""


def _crosses_border(node: fx.Node, subject: Subject) -> bool:
    """Whether another module than the innermost one around it reads the value."""
    path = _raw_path(node)
    if any(node is output for output in subject.captured.outputs):
        return True
    return any(user.op != "output" and _raw_path(user) != path for user in node.users)


# --- running ----------------------------------------------------------------------------------


def _compare(subject: Subject, nodes: Sequence[fx.Node]) -> dict[fx.Node, ModuleCheck]:
    """A check for each node, in their order."""
    if not nodes:
        return {}
    imported = import_program(
        subject.captured.program,
        subject.root,
        input_names=subject.input_names,
        outputs=nodes,
        builder_factory=graph_builder(subject.captured.precision),
    )
    module = subject.captured.program.graph_module
    placeholders = _placeholders(subject, imported)
    replay = ReducedReplay if subject.captured.precision == "bf16" else Replay
    plain = replay(module, nodes).replay(placeholders)
    wide = WideReplay(module, nodes).replay(placeholders)
    ours = _run(subject, imported)
    checks = {}
    for node in nodes:
        value = ours[imported.outputs.index(node)]
        checks[node] = _check(subject, node, value, plain[node], wide[node])
    return checks


def _placeholders(subject: Subject, imported: Imported) -> dict[fx.Node, Any]:
    program = subject.captured.program
    by_name = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    given = iter(subject.tensors)
    values: dict[fx.Node, Any] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            value: Any = next(given)
        else:
            value = imported.live(str(spec.target))
        values[by_name[spec.arg.name]] = value.detach().clone()
    return values


def _run(subject: Subject, imported: Imported) -> list[torch.Tensor]:
    compiled = _core.compile(imported.graph, threads=subject.threads, **compile_options())
    parameters = [imported.parameters[name] for name in compiled.parameter_names]
    executable = bind(subject.name, compiled, imported, parameters, subject.threads)
    with torch.no_grad():
        results = executable(*[tensor.detach() for tensor in subject.tensors])
    return [results] if len(imported.outputs) == 1 else list(results)


# --- comparing --------------------------------------------------------------------------------


def _check(
    subject: Subject,
    node: fx.Node,
    value: torch.Tensor,
    plain: torch.Tensor,
    wide: torch.Tensor,
) -> ModuleCheck:
    value, plain, wide = (_reals(tensor) for tensor in (value, plain, wide))
    if value.dtype.is_floating_point:
        error, torch_error, allowed = _float_errors(subject, value, plain, wide)
    else:
        error, torch_error, allowed = _exact_errors(value, plain, wide)
    fqn, file, line = location_of(node)
    return ModuleCheck(
        fqn,
        str(node.target),
        node.name,
        file,
        line,
        error,
        torch_error,
        allowed,
        ok=error <= allowed,
    )


def _reals(tensor: torch.Tensor) -> torch.Tensor:
    """Complex numbers as their parts; everything else as it is."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.dtype.is_complex else tensor


def _float_errors(
    subject: Subject, value: torch.Tensor, plain: torch.Tensor, wide: torch.Tensor
) -> tuple[float, float, float]:
    rtol, atol = TOLERANCES[value.dtype]
    rtol = rtol if subject.rtol is None else subject.rtol
    atol = atol if subject.atol is None else subject.atol
    if not value.numel():
        return 0.0, 0.0, atol
    # What overflows in the model's own precision has no error to speak of.
    settled = plain.isfinite() & wide.isfinite()
    same = (value == plain) | (value.isnan() & plain.isnan()) | (value.isnan() & wide.isnan())
    if bool((~settled & ~same & ~(value.double() == wide)).any()):
        return math.inf, 0.0, atol
    zero = torch.zeros((), dtype=torch.float64)
    error = torch.where(settled, (value.double() - wide).abs(), zero)
    torch_error = torch.where(settled, (plain.double() - wide).abs(), zero)
    scale = torch.where(settled, wide.abs(), zero)
    if bool((~value.isfinite() & settled).any()):
        return math.inf, float(torch_error.max()), atol
    allowed = atol + rtol * float(scale.max()) + TIMES_TORCH * float(torch_error.max())
    return float(error.max()), float(torch_error.max()), allowed


def _exact_errors(
    value: torch.Tensor, plain: torch.Tensor, wide: torch.Tensor
) -> tuple[float, float, float]:
    """Elements that differ; near a rounding PyTorch's own differ from float64's as well."""
    wrong = (value != plain) & (value != wide)
    torch_wrong = plain != wide
    return float(wrong.sum()), float(torch_wrong.sum()), TIMES_TORCH * float(torch_wrong.sum())
