# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The first rung of capture: ``torch.export.export`` on a copy of the module.

Gives a functional program and, for every output, where its memory comes from.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TextIO, cast

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ConstantArgument,
    InputKind,
    OutputKind,
    SymBoolArgument,
    SymFloatArgument,
    SymIntArgument,
    TensorArgument,
)
from torch.utils import _pytree as pytree

from tessera.capture import autocast
from tessera.capture.agreement import require_agreement
from tessera.capture.asked import Answers
from tessera.capture.autograd import plain_derivatives, require_visible_writes
from tessera.capture.bytecode import require_plain
from tessera.capture.decompose import functionalize, needs_functionalization
from tessera.capture.dynamic import DynamicShapes
from tessera.capture.hooks import strip_user_hooks
from tessera.capture.leaves import Leaf, LeafModule, LeafSession
from tessera.capture.objects import Effects, Handle, copied_arguments, opened_arguments
from tessera.capture.scalars import bools_are_numbers
from tessera.capture.signature import CallSignature
from tessera.capture.specialize import Specializable, SpecializedProgram
from tessera.capture.state import AttributeState
from tessera.capture.structure import copy_structure
from tessera.capture.traceable import Traceable, make_traceable, require_unseen_copies
from tessera.capture.trial import call_once
from tessera.errors import ArgumentError, CaptureError
from tessera.lowering.aliasing import Alias, output_aliases

#: What follows changes settings of the whole process, so one thread captures at a time.
_CAPTURING = threading.RLock()
_QUIET = (
    "torch.export",
    "torch._export",
    "torch.fx",
    "torch._dynamo",
    "torch._functorch",
    "torch._subclasses.fake_tensor",
)


_SYMBOLIC = (SymIntArgument, SymFloatArgument, SymBoolArgument)


@dataclass(frozen=True)
class Captured:
    """A functional program with its call boundary."""

    program: ExportedProgram | SpecializedProgram
    #: one entry a leaf of the result: a node of the program, or (value,) for a constant
    outputs: list[Any]
    #: parallel to `outputs`: whose memory eager PyTorch would return, in the raw graph
    aliases: list[Alias | None]
    out_spec: pytree.TreeSpec
    #: (kind, name, node): what must be written back after the call
    mutations: list[tuple[OutputKind, str, fx.Node]]
    #: placeholder names of the tensors among the arguments: their places among all leaves
    user_inputs: dict[str, int]
    #: of the other placeholders: the path of the tensor behind them, and its kind
    tensors: dict[str, tuple[str, InputKind]]
    session: LeafSession
    #: what products are computed in, where not in what they have: `Options.precision`
    precision: str | None = None
    #: whether the graph is what autograd sees: with the regions that forward() keeps from it
    gradients: bool = False


class _WithoutGraphs:
    """stderr, except for the partial graph torch.export prints when it fails."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._dropped = False

    def write(self, text: str) -> int:
        graph = "def forward(self" in text
        if graph or (self._dropped and text == "\n"):
            self._dropped = graph
            return len(text)
        self._dropped = False
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Holds back what torch prints about failures: Tessera reports them itself.

    Also turns off the fused operators of multi-head attention, which nothing can look into.
    """
    with _CAPTURING:
        fused = torch.backends.mha.get_fastpath_enabled()
        loggers = [logging.getLogger(name) for name in _QUIET]
        levels = [logger.level for logger in loggers]
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            torch.backends.mha.set_fastpath_enabled(False)
            with (
                autocast.uncached(),
                bools_are_numbers(),
                warnings.catch_warnings(),
                contextlib.redirect_stderr(cast(TextIO, _WithoutGraphs(sys.stderr))),
            ):
                warnings.filterwarnings("ignore", module=r"torch\b.*")
                warnings.filterwarnings("ignore", message=".*(during export|treespec).*")
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def export(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    *,
    leaves: Sequence[Leaf] = (),
    training: Mapping[int, bool] | None = None,
    gradients: bool = False,
) -> Captured:
    """Captures `module`, whose submodules in `leaves` stay opaque. Torch's errors pass through.

    With `gradients`, as it computes where autograd records."""
    session = LeafSession()
    try:
        if leaves:
            _record(module, args, kwargs, leaves, training, session)
        replace = {place_of(module, leaf): LeafModule(leaf, None, session) for leaf in leaves}
        copy = copy_structure(module, replace=replace, training=training)
        # The root's own hooks run around the program, not inside of it.
        strip_user_hooks(copy)
        make_traceable(copy)
        derivatives = plain_derivatives() if gradients else contextlib.nullcontext()
        with quiet(), torch.set_grad_enabled(gradients), derivatives:
            state = AttributeState(copy)
            answers = Answers()
            reshaped: set[int] = set()
            positions, tensors = _take_tensors_only(
                copy, args, kwargs, state, answers, reshaped=reshaped
            )

            def capture() -> ExportedProgram:
                return torch.export.export(copy, tensors, strict=False)

            try:
                raw = answers.or_truthfully(capture)
                if answers.truthful and not leaves:
                    eager = functools.partial(
                        call_once, _without_hooks(module, training), args, kwargs
                    )
                    require_agreement(raw, args, kwargs, positions, eager)
                state.require_harmless(raw, capture)
                require_unseen_copies(raw)
                aliases = output_aliases(_user_outputs(raw))
                writes = needs_functionalization(raw)
                if writes and gradients:
                    require_visible_writes(raw)
                program = functionalize(raw) if writes else raw
            except (AssertionError, IndexError) as error:
                if not reshaped:
                    raise
                names = CallSignature.of(module.forward, args, kwargs, objects=True).names
                raise CaptureError(
                    "forward changes the shape of its argument "
                    f"{', '.join(repr(names[place]) for place in sorted(reshaped))} in place",
                    remedy="make a new tensor (x = x.unsqueeze(0), not x.unsqueeze_(0)), and give "
                    "out= one of the result's shape",
                ) from error
        return _boundary(program, aliases, positions, session, gradients)
    except BaseException:
        session.close()
        raise


def _without_hooks(module: nn.Module, training: Mapping[int, bool] | None) -> nn.Module:
    """A copy to call, with buffers of its own."""
    copy = copy_structure(module, training=training, clone_buffers=True)
    strip_user_hooks(copy)
    return copy


def export_from_code(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    *,
    training: Mapping[int, bool] | None = None,
) -> Captured:
    """Captures `module` without running it (see capture/bytecode.py). Torch's errors pass through,
    CaptureError where its code does more than compute."""
    trial = _without_hooks(module, training)
    copy = copy_structure(module, training=training)
    strip_user_hooks(copy)
    with quiet(), torch.no_grad():
        result = require_plain(trial, args, kwargs)
        positions, tensors = _take_tensors_only(copy, args, kwargs)
        raw = torch.export.export(copy, tensors, strict=True)
        require_agreement(raw, args, kwargs, positions, lambda: result)
        require_unseen_copies(raw)
        aliases = output_aliases(_user_outputs(raw))
        program = functionalize(raw) if needs_functionalization(raw) else raw
    return _boundary(program, aliases, positions, LeafSession())


#: A leaf of the arguments that is a tensor, and one of its dimensions.
SizePlace = tuple[int, int]


class DynamicCapture:
    """A module captured once for all sizes its dynamic dimensions may have."""

    def __init__(
        self,
        module: nn.Module,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        shapes: DynamicShapes,
        *,
        training: Mapping[int, bool] | None = None,
        derived: Mapping[int, SizePlace] | None = None,
    ) -> None:
        """`derived` names integers among the leaves of the arguments that are a tensor's size."""
        copy = copy_structure(module, training=training)
        strip_user_hooks(copy)
        make_traceable(copy)
        with quiet(), torch.no_grad():
            state = AttributeState(copy)
            answers = Answers()
            self._positions, tensors = _take_tensors_only(
                copy, args, kwargs, state, answers, derived or {}
            )
            annotation = {"given": tuple(shapes.hints(place) for place in self._positions)}

            def capture() -> ExportedProgram:
                return torch.export.export(copy, tensors, dynamic_shapes=annotation, strict=False)

            raw = answers.or_truthfully(capture)
            if answers.truthful:
                eager = functools.partial(call_once, _without_hooks(module, training), args, kwargs)
                require_agreement(raw, args, kwargs, self._positions, eager)
            state.require_harmless(raw, capture)
            require_unseen_copies(raw)
            functional = needs_functionalization(raw)
            self._sizes = Specializable(raw)
            #: the same without mutations, where it has any
            self._functional = Specializable(functionalize(raw)) if functional else None

    def at(self, shapes: Sequence[Sequence[int]]) -> Captured:
        """The capture for tensors of these shapes; OutsideCapture where it does not hold."""
        raw = self._sizes.at(shapes)
        aliases = output_aliases(_user_outputs(raw))
        program = raw if self._functional is None else self._functional.at(shapes)
        return _boundary(program, aliases, self._positions, LeafSession())


def capture_symbolic(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    shapes: DynamicShapes,
    training: Mapping[int, bool],
) -> DynamicCapture:
    """A DynamicCapture; ArgumentError where the model does not allow the sizes declared."""
    try:
        return DynamicCapture(module, args, kwargs, shapes, training=training)
    except Exception as error:
        # Only torch.export, which has run by now, imports dynamo: that takes seconds.
        from torch._dynamo.exc import UserError, UserErrorType

        violated = UserErrorType.CONSTRAINT_VIOLATION
        if not isinstance(error, UserError) or error.error_type != violated:
            raise
        names = CallSignature.of(module.forward, args, kwargs, objects=True)
        tensors = [names.names[place] for place in names.tensor_positions]
        fixed = re.findall(
            r"marked L\['given'\]\[(\d+)\]\.size\(\)\[(\d+)\].* constant \((\d+)\)", str(error)
        )
        reasons = [
            f"dimension {dim} of {tensors[int(place)]!r} is always {size} in its code"
            for place, dim, size in fixed
        ]
        raise ArgumentError(
            f"from_pytorch: {type(module).__name__} does not take the sizes that dynamic_shapes "
            "declares: " + ("; ".join(reasons) or str(error).splitlines()[0]),
            remedy="leave that dimension out of dynamic_shapes, or write the model so that it "
            "takes other sizes (x.shape[0] in place of a number)",
        ) from error


def _take_tensors_only(
    copy: nn.Module,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    state: AttributeState | None = None,
    answers: Answers | None = None,
    derived: Mapping[int, SizePlace] = MappingProxyType({}),
    reshaped: set[int] | None = None,
) -> tuple[list[int], tuple[torch.Tensor, ...]]:
    """Lets `copy` take the tensors among the arguments by position; everything else is fixed.

    torch.export knows only some types of arguments (no dtypes, no configuration objects), and a
    program holds for their values anyway. Gives the tensors and their places among all leaves.
    Where there are objects among them, the result is a pair: what forward() returns, and what it
    changes in the objects; that takes a run, which `state` follows, with `answers` to what it
    asks, and `reshaped` takes the places of tensors that have another shape afterwards. Without
    them the code is only read.
    """
    flat, spec = pytree.tree_flatten(opened_arguments((tuple(args), kwargs)))
    handles = [index for index, leaf in enumerate(flat) if isinstance(leaf, Handle)]
    positions = [index for index, leaf in enumerate(flat) if isinstance(leaf, torch.Tensor)]
    # One that is given twice stands for two: the next call may well give different ones.
    seen: set[int] = set()
    tensors = tuple(_stand_in(flat[index], seen) for index in positions)
    template = [None if isinstance(leaf, torch.Tensor) else leaf for leaf in flat]
    original = _forward_of_graph(copy) if isinstance(copy, fx.GraphModule) else copy.forward

    def filled(given: Sequence[torch.Tensor]) -> list[Any]:
        leaves: list[Any] = list(template)
        for index, tensor in zip(positions, given, strict=True):
            leaves[index] = tensor
        for index, (place, dim) in derived.items():
            leaves[index] = leaves[place].shape[dim]
        return leaves

    def read(*given: torch.Tensor) -> Any:
        call_args, call_kwargs = pytree.tree_unflatten(filled(given), spec)
        return original(*call_args, **call_kwargs)

    def run(*given: torch.Tensor) -> Any:
        assert state is not None
        assert answers is not None
        leaves = filled(given)
        for index in handles:
            leaves[index] = Handle()
        call_args, call_kwargs = pytree.tree_unflatten(leaves, spec)
        effects = Effects({index: leaves[index].value for index in handles})
        before = [_shape(tensor) for tensor in given]
        state.begin()
        # Inside of torch.export's own such mode, which reads indices out of tensors.
        with Traceable(), answers.given():
            result = original(*call_args, **call_kwargs)
        state.end()
        if reshaped is not None:
            pairs = zip(positions, before, given, strict=True)
            reshaped.update(place for place, old, tensor in pairs if _shape(tensor) != old)
        return effects.result(result)

    if state is None and handles:
        raise CaptureError("what happens to objects among the arguments takes a run to see")
    copy.__dict__["forward"] = run if state is not None else read
    return positions, tensors


def _shape(tensor: torch.Tensor) -> tuple[Any, ...]:
    strided = tensor.layout == torch.strided
    return tuple(tensor.shape), tensor.stride() if strided else ()


def _forward_of_graph(copy: fx.GraphModule) -> Callable[..., Any]:
    """The forward of a module made from a graph, as a plain module's.

    Of a GraphModule torch.export would run the graph itself, on what it is given by position.
    """
    graph, plain = copy.graph, copy.forward
    own = "forward" in vars(copy)
    copy.__class__ = type(type(copy).__name__, (nn.Module,), {})
    try:
        signature = inspect.signature(plain)
    except (TypeError, ValueError):
        return plain

    def forward(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if own or bound.kwargs:
            return plain(*args, **kwargs)
        # Node by node, so that what is captured keeps their source lines.
        with fx.traceback.preserve_node_meta():
            return fx.Interpreter(copy, graph=graph).run(*bound.args)

    return forward


def _stand_in(tensor: torch.Tensor, seen: set[int]) -> torch.Tensor:
    """A tensor of the same form that is nobody else, and by id none of those in `seen`.

    What is one tensor is one value to torch.export: an argument given twice, or the parameter that
    an argument happens to be. Making a view fake makes its base fake too, with symbolic sizes, and
    then an argument that *is* the base has a shape torch calls data-dependent.
    """
    again = id(tensor) in seen
    seen.add(id(tensor))
    plain = type(tensor) in (torch.Tensor, nn.Parameter) and tensor.layout == torch.strided
    if not plain or tensor.is_quantized or tensor.is_conj() or tensor.is_neg():
        return tensor.clone() if again else tensor
    return torch.empty_strided(
        tensor.size(),
        tensor.stride(),
        dtype=tensor.dtype,
        device=tensor.device,
        requires_grad=tensor.requires_grad,
    )


def place_of(root: nn.Module, leaf: Leaf) -> tuple[int, str]:
    """Where a leaf stands: the id of its parent, and its name there."""
    parent, _, name = leaf.fqn.rpartition(".")
    return id(root.get_submodule(parent)), name


# --- what leaves return -----------------------------------------------------------------------


def _record(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    leaves: Sequence[Leaf],
    training: Mapping[int, bool] | None,
    session: LeafSession,
) -> None:
    """Lets every leaf see its calls: with fake tensors, or else with the example inputs."""

    def recording() -> nn.Module:
        # With buffers of its own: some are written to even while tensors are fake.
        for leaf in leaves:
            leaf.recorded.clear()
        replace: dict[tuple[int, str], nn.Module] = {}
        for leaf in leaves:
            inner = copy_structure(leaf.module, training=training, clone_buffers=True)
            for part in inner.modules():
                strip_user_hooks(part)
            replace[place_of(module, leaf)] = LeafModule(leaf, inner, session)
        copy = copy_structure(module, replace=replace, training=training, clone_buffers=True)
        strip_user_hooks(copy)
        return copy

    with torch.no_grad(), quiet():
        given = (tuple(args), kwargs)
        try:
            copy = recording()
            mode = FakeTensorMode(allow_non_fake_inputs=True)
            with mode:
                fakes = copied_arguments(given, mode.from_tensor)
                copy(*fakes[0], **fakes[1])
        except Exception:  # anything: data-dependent code, operators without a fake kernel, …
            examples = copied_arguments(given, torch.clone)
            recording()(*examples[0], **examples[1])


# --- the boundary -----------------------------------------------------------------------------


def _user_outputs(program: ExportedProgram | SpecializedProgram) -> list[Any]:
    results = program.graph.output_node().args[0]
    specs = program.graph_signature.output_specs
    assert isinstance(results, (tuple, list))
    return [
        item
        for item, spec in zip(results, specs, strict=True)
        if spec.kind == OutputKind.USER_OUTPUT
    ]


def _boundary(
    program: ExportedProgram | SpecializedProgram,
    aliases: list[Alias | None],
    positions: Sequence[int],
    session: LeafSession,
    gradients: bool = False,
) -> Captured:
    nodes = {node.name: node for node in program.graph.nodes}
    numbers = program.numbers if isinstance(program, SpecializedProgram) else {}
    outputs: list[Any] = []
    mutations: list[tuple[OutputKind, str, fx.Node]] = []
    for spec in program.graph_signature.output_specs:
        if spec.kind != OutputKind.USER_OUTPUT:
            mutations.append((spec.kind, str(spec.target), nodes[spec.arg.name]))
        elif isinstance(spec.arg, ConstantArgument):
            outputs.append((spec.arg.value,))
        elif isinstance(spec.arg, _SYMBOLIC) and spec.arg.name in numbers:
            outputs.append((numbers[spec.arg.name],))
        elif isinstance(spec.arg, (TensorArgument, *_SYMBOLIC)):
            outputs.append(nodes[spec.arg.name])
        else:
            raise CaptureError(
                f"the model returns {spec.arg.name}, a {type(spec.arg).__name__}",
                remedy="return tensors and plain values",
            )
    tensors = {
        spec.arg.name: (str(spec.target), spec.kind)
        for spec in program.graph_signature.input_specs
        if spec.kind != InputKind.USER_INPUT
    }
    names = [
        spec.arg.name
        for spec in program.graph_signature.input_specs
        if spec.kind == InputKind.USER_INPUT
    ]
    out_spec = program.call_spec.out_spec
    assert out_spec is not None
    return Captured(
        program,
        outputs,
        aliases,
        out_spec,
        mutations,
        dict(zip(names, positions, strict=True)),
        tensors,
        session,
        gradients=gradients,
    )
