# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""PyTorch's own lists of operators (op_db) and modules (module_db), as modules with arguments.

Knows nothing of Tessera, so that what is tested does not depend on what works.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.testing._internal import common_methods_invocations
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import ModuleInfo, module_db
from torch.testing._internal.opinfo import core as opinfo
from torch.utils import _pytree as pytree

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "int64": torch.int64,
    "int32": torch.int32,
    "bool": torch.bool,
    "complex64": torch.complex64,
}


def _unseeded(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return op(*args, **kwargs)


# Operators that draw numbers are called with a seed of their own, which a capture does not see.
common_methods_invocations.wrapper_set_seed = _unseeded

OPERATORS: dict[str, Any] = {op.full_name: op for op in op_db}
MODULES: dict[str, ModuleInfo] = {info.name: info for info in module_db}
#: Behind the name of a module that is tested in training too, where that differs.
TRAINING = " (training)"

#: What the memory of a new tensor holds is nobody's business; nor is which of few windows a
#: random number chose, which two runs may well agree on.
UNDEFINED = ("empty", "new_empty", "resize_", "resize_as_", "nn.functional.fractional_max_pool")

#: PyTorch's tests that compare values computed forwards.
VALUE_TESTS = (
    "TestCommon",
    "TestDecomp",
    "TestInductorOpInfo",
    "TestUnaryUfuncs",
    "TestBinaryUfuncs",
    "TestReductions",
    "TestLinalg",
    "TestFFT",
)

#: Where PyTorch itself is further off: rtol, atol in float64.
INEXACT = {
    # held against the C library's j0, j1, y0 and y1, and series summed in 80 bits
    "special.airy_ai": (1e-5, 1e-5),
    "special.bessel_j0": (1e-6, 1e-6),
    "special.bessel_j1": (1e-6, 1e-6),
    "special.bessel_y0": (1e-6, 1e-6),
    "special.bessel_y1": (1e-5, 1e-6),
}


# Vectors have any sign, those of equal values any rotation: what they promise is that they are
# orthonormal and make up the matrix again.


def _of_eigh(values: Tensor, vectors: Tensor) -> tuple[Tensor, ...]:
    matrix = (vectors * values.unsqueeze(-2)) @ vectors.mT
    return values, matrix, vectors.mT @ vectors


def _of_svd(left: Tensor, values: Tensor, right: Tensor) -> tuple[Tensor, ...]:
    count = values.shape[-1]
    matrix = (left[..., :count] * values.unsqueeze(-2)) @ right[..., :count].mT
    return values, matrix, left.mT @ left, right.mT @ right


def _of_linalg_svd(left: Tensor, values: Tensor, right: Tensor) -> tuple[Tensor, ...]:
    return _of_svd(left, values, right.mT)


MEANINGS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "linalg.eigh": _of_eigh,
    "linalg.svd": _of_linalg_svd,
    "pca_lowrank": _of_svd,
    "svd": _of_svd,
    "svd_lowrank": _of_svd,
}


@dataclass
class Sample:
    """One call: `module(*args, **kwargs)`."""

    label: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    #: nothing is promised about the values
    undefined: bool = False
    #: what PyTorch's own tests allow: rtol, atol; None for what the dtype allows
    tolerance: tuple[float, float] | None = None
    #: of results that are not unique: what is, given all of them
    meaning: Callable[..., tuple[Tensor, ...]] | None = None


class Function(nn.Module):
    """A call of one operator on the tensors among its arguments; all else is fixed."""

    def __init__(self, op: Callable[..., Any], sample: Any) -> None:
        super().__init__()
        self.op = op
        self.flat, self.spec = pytree.tree_flatten((sample.input, sample.args, sample.kwargs))
        self.places = [i for i, item in enumerate(self.flat) if isinstance(item, Tensor)]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(self.flat[place] for place in self.places)

    def forward(self, *tensors: Tensor) -> Any:
        flat = list(self.flat)
        for place, tensor in zip(self.places, tensors, strict=True):
            flat[place] = tensor
        first, args, kwargs = pytree.tree_unflatten(flat, self.spec)
        return self.op(first, *args, **kwargs)


# --- names -----------------------------------------------------------------------------------


def operator_names(dtype: torch.dtype) -> list[str]:
    """The operators that PyTorch has for `dtype` on the CPU."""
    return sorted(name for name, op in OPERATORS.items() if dtype in op.supported_dtypes("cpu"))


def module_names(dtype: torch.dtype) -> list[str]:
    """The same for modules; those that differ in training twice."""
    found = []
    for name, info in MODULES.items():
        if dtype in info.supported_dtypes("cpu"):
            found.append(name)
            if info.train_and_eval_differ:
                found.append(name + TRAINING)
    return sorted(found)


# --- samples ---------------------------------------------------------------------------------


def operator_samples(name: str, dtype: torch.dtype, *, extremes: bool = False) -> Iterator[Sample]:
    """The samples PyTorch tests `name` with; `extremes` adds NaN, infinities and large numbers."""
    op = OPERATORS[name]
    torch.manual_seed(0)
    # All of them now: PyTorch's generators change the grad mode when they end, and one that is
    # left open ends whenever the garbage collector finds it, in the middle of a capture.
    samples = list(op.sample_inputs("cpu", dtype, requires_grad=False))
    if extremes:
        samples += _extremes(op, dtype)
    for index, sample in enumerate(samples):
        function = Function(op.op, sample).eval()
        yield Sample(
            f"#{index} {_describe(sample)}",
            function,
            function.tensors,
            undefined=op.name.startswith(UNDEFINED),
            tolerance=_tolerance(op, dtype),
            meaning=MEANINGS.get(name),
        )


def _extremes(op: Any, dtype: torch.dtype) -> Iterator[Any]:
    kind = {opinfo.UnaryUfuncInfo: "unary", opinfo.BinaryUfuncInfo: "binary"}.get(type(op))
    if kind is None or dtype == torch.bool:
        return
    kinds = ["small"]
    # Of large complex numbers functions have phases that the last digit of the input decides.
    if dtype not in (torch.uint8, torch.int8) and not dtype.is_complex:
        kinds.append("large")
    if dtype.is_floating_point:
        kinds.append("extremal")
    for values in kinds:
        generate = getattr(opinfo, f"generate_elementwise_{kind}_{values}_value_tensors")
        # Of the binary ones, two: further ones only repeat them in other shapes.
        yield from itertools.islice(generate(op, device="cpu", dtype=dtype), 2)


def module_samples(name: str, dtype: torch.dtype) -> Iterator[Sample]:
    """The samples PyTorch tests a module with."""
    info = MODULES[name.removesuffix(TRAINING)]
    training = name.endswith(TRAINING)
    torch.manual_seed(0)
    inputs = info.module_inputs_func(
        info, device="cpu", dtype=dtype, requires_grad=False, training=training
    )
    for index, given in enumerate(inputs):
        if given.forward_input is None:
            continue
        made = given.constructor_input
        module = info.module_cls(*made.args, **made.kwargs).to(dtype).train(training)
        args, kwargs = tuple(given.forward_input.args), dict(given.forward_input.kwargs)
        if info.is_lazy:
            with torch.no_grad():
                module(*args, **kwargs)
        label = f"#{index} {given.desc}".rstrip()
        yield Sample(label, module, args, kwargs)


def first(samples: Iterator[Sample]) -> Sample | None:
    """The first sample, if there is any."""
    return next(samples, None)


def _tolerance(op: Any, dtype: torch.dtype) -> tuple[float, float] | None:
    """The widest tolerance that PyTorch's own tests of values on the CPU give the operator."""
    default = torch.testing._comparison.default_tolerances(dtype)
    found = [default]
    if dtype == torch.float64 and op.full_name in INEXACT:
        found.append(INEXACT[op.full_name])
    for info in op.decorators or ():
        if getattr(info, "device_type", None) not in (None, "cpu"):
            continue
        if getattr(info, "cls_name", None) not in VALUE_TESTS:
            continue
        for decorator in info.decorators:
            allowed = getattr(decorator, "d", {}).get(dtype)
            if isinstance(allowed, float):
                found.append((default[0], allowed))
            elif allowed is not None:
                found.append((float(allowed.rtol), float(allowed.atol)))
    if len(found) == 1:
        return None
    rtol, atol = zip(*found, strict=True)
    return max(rtol), max(atol)


def _describe(sample: Any) -> str:
    """Shapes and numbers of a call, in a line."""

    def show(item: Any) -> str:
        if isinstance(item, Tensor):
            kind = str(item.dtype).removeprefix("torch.")
            return f"{kind}[{', '.join(str(size) for size in item.shape)}]"
        if isinstance(item, (list, tuple)):
            return f"({', '.join(show(part) for part in item)})"
        if callable(item):
            return getattr(item, "__name__", type(item).__name__)
        # No addresses: the text is the same from run to run.
        return re.sub(r" at 0x[0-9a-f]+", "", str(item))

    parts = [show(item) for item in (sample.input, *sample.args)]
    parts += [f"{key}={show(item)}" for key, item in sample.kwargs.items()]
    return ", ".join(parts)
