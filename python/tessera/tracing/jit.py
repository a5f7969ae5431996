# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``ts.jit``: a function over ``ts.ops``, or a ``ts.Module``, compiled for what it is called with.

A call of a new form traces the function: it runs once on values without data, and what it calls
becomes one graph. A module whose forward cannot be traced (it looks at data, or keeps state) runs
as it is, in an island; a function that itself cannot be traced runs as it is altogether. Either is
in the report with its reason, and an error where ``strict=True``.
"""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Callable
from typing import Any

from torch import nn

from tessera.compiled import CompiledModule
from tessera.errors import ArgumentError, ArgumentTypeError
from tessera.module import Module
from tessera.precision import checked_precision
from tessera.report.report import Report
from tessera.threads import check_threads
from tessera.tracing.active import building
from tessera.tracing.forms import Forms, JitOptions


class Jitted:
    """A function that runs compiled; what is compiled is kept by the form of its arguments."""

    def __init__(self, function: Callable[..., Any], options: JitOptions) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._options = options
        owner = getattr(function, "__self__", None)
        self._forms = Forms(options, {"": owner} if isinstance(owner, Module) else {})
        # Of a function that is a method of a class: the forms of each object's calls.
        self._bound: weakref.WeakKeyDictionary[Any, Forms] = weakref.WeakKeyDictionary()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if building() is not None:
            return self._function(*args, **kwargs)
        return self._forms.call(self._function, args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        forms = self._bound.get(instance)
        if forms is None:
            roots = {"": instance} if isinstance(instance, Module) else {}
            forms = self._bound[instance] = Forms(self._options, roots, weak=True)
        return JittedMethod(types.MethodType(self._function, instance), forms)

    @property
    def report(self) -> Report:
        """What became of each operator in the latest call; ArgumentError before the first one."""
        return self._forms.report

    @property
    def programs(self) -> int:
        """How many programs were compiled so far."""
        return self._forms.count

    def explain(self, *, nodes: bool = False, level: str | None = None) -> None:
        """Prints the report: what runs where, why, and what to do about it.

        ``level="schedule"`` prints how kernels came about instead: what was fused and what was not
        and why, the predicted work, each kernel's point, and where that came from.
        """
        from tessera.report.render import print_report

        print_report(self.report, nodes=nodes, level=level)

    def ir(self, level: str = "graph", *, locations: bool = False) -> str:
        """The text of what the latest call ran: "graph", "schedule", "tile", "target", "llvm" or
        "asm". Raises ArgumentError where it ran no program."""
        return self._forms.ir(level, locations)

    def profile(self, *args: Any, **kwargs: Any) -> Report:
        """Calls the function and returns the report with the measured times filled in."""
        return self._forms.profile(self._function, args, kwargs)

    @property
    def verify(self) -> None:
        """No attribute: a native function has no original in PyTorch."""
        raise AttributeError(
            "a function under ts.jit has no attribute 'verify': verify compares a converted "
            "PyTorch model with the original; compare with the function itself, uncompiled"
        )

    def __repr__(self) -> str:
        return f"<ts.jit of {self._forms.name_of(self._function)}>"

    # Copies begin without programs.
    def __deepcopy__(self, memo: dict[int, Any]) -> Jitted:
        import copy

        return Jitted(copy.deepcopy(self._function, memo), self._options)

    def __reduce__(self) -> tuple[Any, ...]:
        return Jitted, (self._function, self._options)


class JittedMethod(Jitted):
    """A method under ``ts.jit``, bound to its object."""

    def __init__(self, function: Callable[..., Any], forms: Forms) -> None:
        self._function = function
        self._forms = forms
        self._options = forms.options
        self.__name__ = getattr(function, "__name__", "method")
        self.__doc__ = function.__doc__


class JittedModule(Module):
    """A ``ts.Module`` whose calls run compiled; parameters, children and state are its own."""

    def __init__(self, module: Module, options: JitOptions) -> None:
        super().__init__()
        state = self.__dict__
        state["_inner"] = module
        state["_jitted"] = Jitted(module, options)
        for name in ("_children", "_parameters", "_buffers", "_non_persistent"):
            state[name] = module.__dict__[name]
        state["training"] = module.training
        state["_jitted"]._forms.roots[""] = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The same as the module's own."""
        return self._jitted(*args, **kwargs)

    @property
    def module(self) -> Module:
        """The module that is compiled."""
        inner: Module = self._inner
        return inner

    @property
    def report(self) -> Report:
        """What became of each operator in the latest call."""
        return self.__dict__["_jitted"].report  # type: ignore[no-any-return]

    @property
    def programs(self) -> int:
        """How many programs were compiled so far."""
        return self.__dict__["_jitted"].programs  # type: ignore[no-any-return]

    def explain(self, *, nodes: bool = False, level: str | None = None) -> None:
        """Prints the report."""
        self._jitted.explain(nodes=nodes, level=level)

    def ir(self, level: str = "graph", *, locations: bool = False) -> str:
        """The text of what the latest call ran, at one of the levels."""
        return self._jitted.ir(level, locations=locations)  # type: ignore[no-any-return]

    def profile(self, *args: Any, **kwargs: Any) -> Report:
        """Calls the module and returns the report with the measured times filled in."""
        return self._jitted.profile(*args, **kwargs)  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> JittedModule:
        """Sets the mode here, of the module and of all below; each mode has its programs."""
        super().train(mode)
        self._inner.train(mode)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._inner, name, value)
        if name == "training":
            self.__dict__["training"] = value

    def __getattr__(self, name: str) -> Any:
        if "_inner" not in self.__dict__ or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.__dict__["_inner"], name)

    def __delattr__(self, name: str) -> None:
        delattr(self._inner, name)

    def _label(self) -> str:
        return f"ts.jit:{self._inner._label()}"

    def extra_repr(self) -> str:
        text: str = self._inner.extra_repr()
        return text

    def __deepcopy__(self, memo: dict[int, Any]) -> JittedModule:
        import copy

        return JittedModule(copy.deepcopy(self._inner, memo), self._jitted._options)

    def __reduce__(self) -> tuple[Any, ...]:
        return JittedModule, (self._inner, self._jitted._options)


def jit(
    function: Any = None,
    *,
    strict: bool = False,
    max_signatures: int = 64,
    threads: int | None = None,
    precision: str | None = None,
) -> Any:
    """`function` compiled, once for each form of its arguments: shapes and dtypes of tensors, and
    the values of all else.

    Takes a function over ``ts.ops`` and ``ts.nn``, a method (also as a decorator in a class) or a
    ``ts.Module``; the same code runs uncompiled and compiled. torch tensors give torch tensors,
    ``ts.Tensor`` gives ``ts.Tensor``. Parameters, buffers and tensors from outside are read when
    it is called, Python's own values when it is traced: of the modules it calls, changes of
    attributes are noticed, other Python state is not. Results are fresh memory.

    What cannot be traced runs as it is and is named in ``result.report``: a module of its own as
    an island, the function as a whole otherwise; with ``strict=True`` that is a ConversionError.
    Calls of more than ``max_signatures`` forms run uncompiled (ArgumentError when strict).
    ``threads`` is how many threads programs use; by default ``ts.get_num_threads()``, at each call.
    ``precision`` is that of :func:`tessera.from_pytorch`; what runs uncompiled has the values' own.

    Raises ArgumentTypeError for what is no function or ``ts.Module``, and ArgumentError for a
    ``max_signatures`` or ``threads`` below one, or another ``precision``.
    """
    if (
        not isinstance(max_signatures, int)
        or isinstance(max_signatures, bool)
        or max_signatures < 1
    ):
        raise ArgumentError(
            f"jit: max_signatures must be a positive integer, not {max_signatures!r}",
            remedy="leave it out for the default",
        )
    if threads is not None:
        check_threads("jit: threads", threads)
    precision = checked_precision("jit", precision)
    options = JitOptions(bool(strict), max_signatures, threads or 0, precision)
    again = functools.partial(
        jit, strict=strict, max_signatures=max_signatures, threads=threads, precision=precision
    )
    if function is None:
        return again
    if isinstance(function, (Jitted, JittedModule)):
        inner = function.module if isinstance(function, JittedModule) else function._function
        return again(inner)
    if isinstance(function, CompiledModule):
        raise ArgumentTypeError(
            f"jit: {function._label()} is compiled already", remedy="use it as it is"
        )
    if isinstance(function, Module):
        return JittedModule(function, options)
    if isinstance(function, nn.Module):
        raise ArgumentTypeError(
            f"jit takes functions over ts.ops, and {type(function).__name__} is a PyTorch module",
            remedy="use ts.from_pytorch(model, example_inputs=…) or ts.compat.wrap(model)",
        )
    if not callable(function) or inspect.isclass(function):
        raise ArgumentTypeError(
            f"jit takes a function, a method or a ts.Module, not {function!r}",
            remedy="of a class, decorate the method: @ts.jit above def forward(…)",
        )
    return Jitted(function, options)
