# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``ts.compat.define_op``: operators of one's own, written in Python over ``ts.ops`` or (native.py)
in C.

One function becomes an operator of PyTorch's (``torch.ops.mylib.swiglu``), whose kernel runs it
compiled, and its own lowering, so that inside a captured model it is built into the graph and fused
with what is around it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, overload

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import _disable_current_modes

from tessera import _core, ops
from tessera.capture.leaves import TensorSpec
from tessera.compat.register import register_aten, unregister
from tessera.errors import RegistrationError
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.dtypes import dtype_name
from tessera.lowering.registry import Unsupported
from tessera.tensor import Tensor
from tessera.tracing.active import building
from tessera.tracing.jit import jit

#: What a shape function gives for one result: a tensor of its form, or (shape, dtype).
Shape = Callable[..., Any]
_LIVING: dict[str, DefinedOp] = {}


class DefinedOp:
    """An operator made by `define_op`. Called with tensors of either kind it runs; with values of a
    graph, or while a model is captured, it is built."""

    def __init__(self, function: Callable[..., Any], schema: str, shape: Shape | None) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.shape = shape
        self.qualname = schema.split("(", 1)[0].strip()
        self._jitted = jit(function)
        namespace, name = self.qualname.split("::")
        self._library = torch.library.Library(namespace, "FRAGMENT")
        try:
            self._library.define(schema.split("::", 1)[1])
        except RuntimeError as error:
            raise RegistrationError(f"define_op: {schema!r}: {_reason(error)}") from error
        self._library.impl(name, self._kernel, "CompositeExplicitAutograd")
        torch.library.register_fake(self.qualname, self._fake, lib=self._library)
        self.overload = getattr(getattr(torch.ops, namespace), name).default
        #: what torch.library.custom_op calls it, so that both name their operator alike
        self._opoverload = self.overload
        self._rule = self._lower
        register_aten(self.qualname)(self._rule)
        _LIVING[self.qualname] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if building() is None:
            leaves = pytree.tree_leaves((args, kwargs))
            if not any(isinstance(leaf, (GraphValue, Tensor)) for leaf in leaves):
                return self.overload(*args, **kwargs)
            if not any(isinstance(leaf, GraphValue) for leaf in leaves):
                return self._eager(*args, **kwargs)
        return self.function(*args, **kwargs)

    def _eager(self, *args: Any, **kwargs: Any) -> Any:
        """On tensors of either kind."""
        return self._jitted(*args, **kwargs)

    def _kernel(self, *args: Any, **kwargs: Any) -> Any:
        """What PyTorch calls outside of captures."""
        result = self._eager(*args, **kwargs)
        return pytree.tree_map_only(Tensor, torch.from_dlpack, result)

    def _lower(self, node: Any, ctx: LoweringContext) -> Any:
        result = self.function(*ctx.get_inputs(node), **ctx.get_kwargs(node))
        return tuple(result) if isinstance(result, list) else result

    def _fake(self, *args: Any, **kwargs: Any) -> Any:
        """Tensors without data in the form of the results."""
        if self.shape is None:
            return self._traced_shape(args, kwargs)
        try:
            given = self.shape(*args, **kwargs)
        except Exception as error:
            error.add_note(f"raised in the shape function of {self.qualname}")
            raise
        several = not (isinstance(given, torch.Tensor) or _is_form(given))
        forms = given if several else [given]
        count = len(self.overload._schema.returns)
        if not isinstance(forms, (tuple, list)) or len(forms) != count:
            raise self._wrong_shape(given)
        tensors = tuple(self._tensor(item) for item in forms)
        return tensors if count != 1 else tensors[0]

    def _tensor(self, form: Any) -> torch.Tensor:
        if isinstance(form, torch.Tensor):
            return form
        if not _is_form(form):
            raise self._wrong_shape(form)
        try:
            return torch.empty(tuple(form[0]), dtype=form[1])
        except (TypeError, RuntimeError) as error:
            raise self._wrong_shape(form) from error

    def _wrong_shape(self, form: Any) -> RegistrationError:
        count = len(self.overload._schema.returns)
        each = f"each of the {count} results" if count != 1 else "the result"
        return RegistrationError(
            f"the shape function of {self.qualname} returned {form!r}",
            remedy=f"return (shape, dtype) for {each}, or a tensor such as torch.empty_like(x)",
        )

    def _traced_shape(self, args: Any, kwargs: dict[str, Any]) -> Any:
        """The same without a shape function: what building it gives."""
        context = LoweringContext(_core.GraphBuilder())

        def value(tensor: torch.Tensor) -> GraphValue:
            if not all(isinstance(size, int) for size in tensor.shape):
                raise RegistrationError(
                    f"{self.qualname} is captured for tensors of any size, and the sizes of its "
                    "results cannot be told",
                    remedy="give it a shape function: define_op(…, shape=lambda x: (x.shape, "
                    "x.dtype))",
                )
            spec = TensorSpec.of(tensor)
            handle = context.builder.input("x", dtype_name(spec.dtype), list(spec.shape))
            return GraphValue(context, handle)

        given = pytree.tree_map_only(torch.Tensor, value, (args, kwargs))
        try:
            # Constants of the graph are tensors with data, also while PyTorch captures without.
            with _disable_current_modes():
                result = self.function(*given[0], **given[1])
        except Unsupported as error:
            raise RegistrationError(
                f"the sizes of what {self.qualname} returns cannot be told: {error.reason}",
                remedy="give it a shape function: define_op(…, shape=…)",
            ) from error
        return pytree.tree_map_only(
            GraphValue, lambda item: torch.empty(item.shape, dtype=item.dtype), result
        )

    def unregister(self) -> None:
        """Takes the operator back: from PyTorch, from ``ts.ops`` and from the lowerings."""
        unregister(self._rule)
        name = self.qualname.split("::")[1]
        if vars(ops).get(name) is self:
            delattr(ops, name)
        _LIVING.pop(self.qualname, None)
        self._library._destroy()

    def __repr__(self) -> str:
        return f"<operator {self.qualname} over ts.ops>"


@overload
def define_op(
    schema: str, *, shape: Shape | None = None
) -> Callable[[Callable[..., Any]], DefinedOp]: ...


@overload
def define_op(
    schema: str, *, shape: Shape, library: str | Path, symbol: str | None = None
) -> DefinedOp: ...


def define_op(
    schema: str,
    *,
    shape: Shape | None = None,
    library: str | Path | None = None,
    symbol: str | None = None,
) -> Any:
    """Makes a function over ``ts.ops``, or a kernel in a shared library, an operator of PyTorch's
    and of ``ts.ops``.

    ``schema`` is its name and signature as torch.library writes them, ``"mylib::swiglu(Tensor x,
    float beta=1.0) -> Tensor"``; or the name alone, when the function's annotations tell the rest.
    ``shape`` says the form of the results from the operator's arguments: ``(shape, dtype)``, or a
    tensor of that form, for each. Without it the form is found by building the function, which
    needs sizes that are known: models captured with ``dynamic_shapes`` need the shape function.

    The result is called with tensors of either kind (it runs compiled), in ``ts.jit`` and in other
    such functions (it is built), and as ``torch.ops.mylib.swiglu`` or by itself in PyTorch models,
    whose conversion builds it as well; it is also there as ``ts.ops.swiglu``. It computes no
    gradients. ``result.unregister()`` takes it back.

    With ``library`` there is no function to decorate: the operator's kernel is the C function
    ``symbol`` (by default of the operator's name) of that shared library, compiled with
    ``<tessera/native.h>`` from ``ts.compat.get_include()``; it needs the whole schema and a shape
    function. Compiled programs call it on the tensors' own memory, and it counts as converted.

    Raises RegistrationError for a schema or name that cannot be, for a library that cannot be used,
    and when a conversion finds that the function does not return what ``shape`` says.
    """
    if not isinstance(schema, str) or "::" not in schema.split("(", 1)[0]:
        raise RegistrationError(
            f"define_op needs the operator's namespace and name, not {schema!r}",
            remedy='write for instance "mylib::swiglu(Tensor x) -> Tensor"',
        )
    if shape is not None and not callable(shape):
        raise RegistrationError(f"define_op: shape must be a function, not {shape!r}")
    if library is not None:
        return _native(schema, shape, library, symbol)
    if symbol is not None:
        raise RegistrationError(
            f"define_op: symbol={symbol!r} names a function of a library, and there is no library",
            remedy="say library= as well",
        )

    def decorate(function: Callable[..., Any]) -> DefinedOp:
        if not callable(function) or inspect.isclass(function):
            raise RegistrationError(f"define_op decorates a function, not {function!r}")
        full = schema if "(" in schema else schema + _inferred(function)
        name = _check_name(full)
        made = DefinedOp(function, full, shape)
        setattr(ops, name, made)
        return made

    return decorate


def _native(schema: str, shape: Shape | None, library: str | Path, symbol: str | None) -> DefinedOp:
    from tessera.compat.native import NativeOp

    if "(" not in schema or shape is None:
        raise RegistrationError(
            f"define_op: {schema!r} has a native kernel, so nothing tells its arguments and the "
            "form of its results",
            remedy='give both: define_op("mylib::scale(Tensor x) -> Tensor", '
            "shape=lambda x: (x.shape, x.dtype), library=…)",
        )
    name = _check_name(schema)
    made = NativeOp(schema, shape, library, symbol)
    setattr(ops, name, made)
    return made


def _check_name(schema: str) -> str:
    """The name in ``ts.ops`` of a new operator; RegistrationError where it cannot be."""
    qualname = schema.split("(", 1)[0].strip()
    namespace, _, name = qualname.partition("::")
    if not (namespace.isidentifier() and name.isidentifier()):
        raise RegistrationError(
            f"define_op: {qualname!r} is no operator's name",
            remedy='the form is "namespace::name"',
        )
    if qualname in _LIVING or bool(torch._C._jit_get_operation(qualname)[0]):
        raise RegistrationError(
            f"define_op: there is an operator {qualname} already",
            remedy="choose another name, or register a lowering for that one with "
            "ts.compat.register_aten",
        )
    if _has(name):
        raise RegistrationError(
            f"define_op: ts.ops has a function {name!r} already", remedy="choose another name"
        )
    return name


def _has(name: str) -> bool:
    try:
        getattr(ops, name)
    except AttributeError:
        return False
    return True


def _is_form(value: Any) -> bool:
    return (
        isinstance(value, (tuple, list)) and len(value) == 2 and isinstance(value[1], torch.dtype)
    )


def as_form(tensor: torch.Tensor) -> tuple[torch.dtype, tuple[int, ...]]:
    return tensor.dtype, tuple(tensor.shape)


def _inferred(function: Callable[..., Any]) -> str:
    try:
        schema: str = torch.library.infer_schema(function, mutates_args=())
    except ValueError as error:
        raise RegistrationError(
            f"define_op: no schema follows from the annotations of "
            f"{getattr(function, '__name__', function)!r}: {_reason(error)}",
            remedy='write it: define_op("mylib::name(Tensor x) -> Tensor"), or annotate with '
            "torch.Tensor, int, float and bool",
        ) from error
    return schema


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
