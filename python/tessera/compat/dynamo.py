# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``torch.compile(model, backend="tessera")``.

Dynamo gives a graph of torch calls whose parameters are inputs; here it becomes a small module that
has them as parameters again (`compat/dynamo_graph.py`), converted as any other module is. Each
further set of parameters, such as the next of twelve equal layers, gets the same machine code.

What Tessera has no code for runs the graph as dynamo recorded it, in PyTorch: calls that compute
gradients, tensors on other devices, subclasses of torch.Tensor. The report and a warning say so.
"""

from __future__ import annotations

import importlib
import logging
import operator
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

import torch
from torch import fx, nn

from tessera.compat.dynamo_graph import GraphParts, take_apart
from tessera.compiled import CompiledModule, Options
from tessera.errors import ArgumentError, ArgumentTypeError, ConversionError
from tessera.execution import Execution, ProgramExecution
from tessera.lowering.dtypes import is_compiled
from tessera.precision import checked_precision
from tessera.report.report import IslandRow, NodeRow, Report, strict_message

LOG = logging.getLogger("tessera.compile")
NAME = "tessera"
#: Sets of parameters one graph keeps executables for.
MAX_BINDINGS = 64

_PLAIN = (torch.Tensor, nn.Parameter)
_OPTIONS = {"strict": bool, "threads": int, "max_signatures": int, "precision": str}
_graphs: weakref.WeakValueDictionary[int, CompiledGraph] = weakref.WeakValueDictionary()
_numbers = iter(range(1, sys.maxsize))


class CompiledGraph:
    """One graph of dynamo's: called with its flat inputs, gives the tuple of its outputs.

    Programs are compiled when a call of a new form is met, hence ``report`` says nothing before
    the first call.
    """

    def __init__(self, module: fx.GraphModule, parts: GraphParts, options: Options) -> None:
        self.number = next(_numbers)
        self.name = f"torch.compile graph {self.number}"
        self.options = options
        #: calls answered by compiled programs, and by PyTorch
        self.calls = 0
        self.fallback_calls = 0
        self._module = module
        self._parts = parts
        self._bindings: OrderedDict[tuple[int, ...], _Bound] = OrderedDict()
        self._latest: _Bound | None = None
        self._fallback: Report | None = None
        self._told: set[str] = set()
        self._lock = threading.Lock()
        _graphs[self.number] = self

    def __call__(self, *args: Any) -> Any:
        if torch.is_grad_enabled() and any(map(_requires_grad, args)):
            return self._in_pytorch(_GRADIENTS, args)
        inputs = self._parts.inputs_of(args)
        reason = _unfit(inputs)
        if reason is not None:
            return self._in_pytorch(reason, args)
        bound = self._bound(self._parts.parameters_of(args))
        if bound.unfit is not None:
            return self._in_pytorch(bound.unfit, args)
        self.calls += 1
        self._fallback = None
        return bound(*inputs)

    # --- parameters -----------------------------------------------------------------------

    def _bound(self, tensors: Sequence[torch.Tensor]) -> _Bound:
        """The module for these parameters."""
        latest = self._latest
        if latest is not None and all(map(operator.is_, tensors, latest.tensors)):
            return latest
        key = tuple(map(id, tensors))
        with self._lock:
            bound = self._bindings.get(key)
            if bound is None:
                bound = _Bound(self, self._parts.module(tensors, self.name), tensors)
                self._bindings[key] = bound
            self._bindings.move_to_end(key)
            if len(self._bindings) > MAX_BINDINGS:
                self._bindings.popitem(last=False)
                self._tell(
                    f"{self.name} met more than {MAX_BINDINGS} sets of parameters; the least "
                    "recently used is forgotten. Tensors that are new in each call should be "
                    "arguments that are no nn.Parameter"
                )
            self._latest = bound
        return bound

    def _siblings(self) -> list[_Bound]:
        return list(self._bindings.values())

    # --- falling back ---------------------------------------------------------------------

    def _in_pytorch(self, reason: tuple[str, str, str], args: tuple[Any, ...]) -> Any:
        code, text, remedy = reason
        self.fallback_calls += 1
        report = Report(self.name, mode="pytorch", capture=self._parts.origin())
        file, line = self._parts.place
        report.nodes = [
            NodeRow("graph", self.name, "", file, line, "island", code, text, remedy, island=0)
        ]
        report.islands = [IslandRow(0, "", self._parts.operators(), code, text, remedy)]
        if self.options.strict:
            raise ConversionError(strict_message(report), report=report)
        self._fallback = report
        self._tell(f"{self.name} ({self._parts.where}) runs in PyTorch: {text}. {remedy}")
        return self._module.forward(*args)

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            LOG.warning("%s", text)

    # --- reports --------------------------------------------------------------------------

    @property
    def report(self) -> Report:
        """What became of each node in the latest call; ArgumentError before the first one."""
        if self._fallback is not None:
            return self._fallback
        if self._latest is None:
            raise ArgumentError(
                f"{self.name} has not been called yet, so nothing is compiled",
                remedy="call the compiled function once",
            )
        report = self._latest.report
        if not any(attempt.rung == "torch._dynamo" for attempt in report.capture):
            report.capture = [*self._parts.origin(), *report.capture]
        return report

    def explain(self, *, nodes: bool = False, level: str | None = None) -> None:
        """Prints the report."""
        from tessera.report.render import print_report

        print_report(self.report, nodes=nodes, level=level)

    def ir(self, level: str = "graph", *, locations: bool = False) -> str:
        """The text of what the latest call ran, as of a converted module."""
        if self._latest is None:
            raise ArgumentError(
                f"{self.name} has run no program yet", remedy="call the compiled function once"
            )
        return self._latest.ir(level, locations=locations)

    def __repr__(self) -> str:
        return f"<{self.name} at {self._parts.where}>"


class _Bound(CompiledModule):
    """The graph over one set of parameters."""

    def __init__(
        self, graph: CompiledGraph, module: nn.Module, tensors: Sequence[torch.Tensor]
    ) -> None:
        super().__init__(module, graph.options)
        self.__dict__["graph"] = weakref.ref(graph)
        self.__dict__["tensors"] = tuple(tensors)
        #: why calls with these parameters run in PyTorch; parameters of a dtype that programs do
        #: not have may be in islands
        self.__dict__["unfit"] = _unfit(tensors, any_dtype=True)

    def _compile(self, signature: Any, args: Any, kwargs: Any) -> Execution:
        graph: CompiledGraph | None = self.__dict__["graph"]()
        for sibling in graph._siblings() if graph is not None else ():
            for made in list(sibling._programs.values()) if sibling is not self else ():
                if isinstance(made, ProgramExecution) and made.signature.key() == signature.key():
                    program = made.program.rebound(self._torch)
                    if program is not None:
                        return ProgramExecution(self, program, made.report)
        return super()._compile(signature, args, kwargs)

    def _label(self) -> str:
        graph: CompiledGraph | None = self.__dict__["graph"]()
        return "torch.compile graph" if graph is None else graph.name


_GRADIENTS = (
    "gradients",
    "the call computes gradients, which compiled programs do not",
    "Call it under torch.no_grad() or torch.inference_mode() for inference",
)


def _requires_grad(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad


def _unfit(args: Sequence[Any], *, any_dtype: bool = False) -> tuple[str, str, str] | None:
    """(code, reason, remedy) where a call cannot run compiled."""
    for tensor in args:
        if not isinstance(tensor, torch.Tensor):
            continue
        if type(tensor) not in _PLAIN:
            return (
                "subclass",
                f"an argument is a {type(tensor).__name__}, which only PyTorch knows",
                "Pass plain tensors",
            )
        if tensor.device.type != "cpu" or tensor.layout != torch.strided:
            return (
                "not-crossable",
                f"an argument is a {tensor.layout} tensor on {tensor.device}",
                "Pass dense tensors on the CPU",
            )
        if not any_dtype and (not is_compiled(tensor.dtype) or tensor.is_quantized):
            return (
                "not-crossable",
                f"an argument is a tensor of {tensor.dtype}, which compiled programs cannot take",
                "Pass tensors of another dtype",
            )
    return None


# --- the backend ------------------------------------------------------------------------------


def compile_graph(
    module: fx.GraphModule,
    example_inputs: Sequence[Any],
    *,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """The backend: dynamo's graph as a function over its flat inputs.

    ``options`` of torch.compile may have ``strict`` (raise ConversionError where anything would
    run in PyTorch), ``threads``, ``precision`` (as :func:`tessera.from_pytorch`'s) and
    ``max_signatures`` (programs a graph may have; calls of further forms run in PyTorch). Raises
    ArgumentError for other options, and for a ``mode``.
    """
    if mode not in (None, "default"):
        raise ArgumentError(
            f'torch.compile(backend="tessera", mode={mode!r}): there are no modes',
            remedy='leave mode out; options={"strict": True} refuses what would run in PyTorch',
        )
    return CompiledGraph(module, take_apart(module, example_inputs), _options(options or {}))


def _options(given: Mapping[str, Any]) -> Options:
    for name, value in given.items():
        if name not in _OPTIONS:
            raise ArgumentError(
                f'torch.compile(backend="tessera"): there is no option {name!r}',
                remedy=f"there are {', '.join(_OPTIONS)}",
            )
        if not isinstance(value, _OPTIONS[name]):
            raise ArgumentTypeError(
                f"option {name!r} must be a {_OPTIONS[name].__name__}, not {value!r}"
            )
        if type(value) is int and value < 1:
            raise ArgumentError(f"option {name!r} must be a positive integer, not {value!r}")
    precision = checked_precision("torch.compile", given.get("precision"))
    return Options(**{**given, "precision": precision})


def compiled_graphs() -> list[CompiledGraph]:
    """Every living graph that ``torch.compile(backend="tessera")`` made, oldest first.

    Each has ``report``, ``explain()``, ``ir()`` and counts of its calls.
    """
    return [graph for _, graph in sorted(_graphs.items())]


# --- registration -----------------------------------------------------------------------------

_REGISTRY = "torch._dynamo.backends.registry"


def register_backend() -> None:
    """Makes "tessera" a name torch.compile knows.

    Dynamo takes seconds to import, so where nobody has, this waits until somebody does. (An
    installed Tessera is also found by its entry point, without being imported first.)
    """
    loaded = sys.modules.get(_REGISTRY)
    if loaded is not None:
        _register(loaded)
    elif not any(isinstance(finder, _Registration) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Registration())


def _register(registry: Any) -> None:
    if NAME not in registry._COMPILER_FNS:
        registry.register_backend(compile_graph, name=NAME)


class _Registration(MetaPathFinder):
    """Registers the backend right after dynamo's table of backends is imported, then is gone."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != _REGISTRY:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            _register(module)

        loader.exec_module = exec_module
        return spec
