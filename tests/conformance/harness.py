# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Cases against PyTorch in float64: many in one module, so that a table costs one conversion."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

import tessera as ts

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)

#: rtol, atol: torch.testing's, for one rounding of a result known in float64.
TOLERANCES = {
    torch.float64: (1e-7, 1e-7),
    torch.float32: (1.3e-6, 1e-5),
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.complex64: (1.3e-6, 1e-5),
    torch.complex128: (1e-7, 1e-7),
}


@dataclass(frozen=True)
class Case:
    """One function of tensors.

    The oracle runs on the floating-point inputs in float64; with `exact`, on the inputs as they
    are, for functions whose answer depends on the dtype itself (and for integers).
    """

    name: str
    function: Callable[..., Any]
    inputs: Sequence[torch.Tensor]
    exact: bool = False
    rtol: float | None = None
    atol: float | None = None


class Together(nn.Module):
    """All cases at once: the outputs of each on its own inputs."""

    def __init__(self, cases: Sequence[Case]) -> None:
        super().__init__()
        self.cases = list(cases)
        self.counts = [len(case.inputs) for case in cases]

    def forward(self, *tensors: torch.Tensor) -> list[Any]:
        results, start = [], 0
        for case, count in zip(self.cases, self.counts, strict=True):
            results.append(case.function(*tensors[start : start + count]))
            start += count
        return results


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dtype.is_complex:
        return tensor.to(torch.complex128)
    return tensor.double() if tensor.is_floating_point() else tensor


def expected(case: Case) -> list[Any]:
    """What PyTorch says: values from float64, shapes and dtypes from the inputs as given."""
    with torch.no_grad():
        plain = pytree.tree_leaves(case.function(*(t.clone() for t in case.inputs)))
        inexact = any(t.is_floating_point() or t.is_complex() for t in case.inputs)
        if case.exact or not inexact:
            return plain
        wide = pytree.tree_leaves(case.function(*(_widened(t) for t in case.inputs)))
    return [
        value.to(like.dtype) if isinstance(like, torch.Tensor) else value
        for value, like in zip(wide, plain, strict=True)
    ]


def compare(case: Case, result: Any) -> str:
    """What is wrong with `result`; empty when nothing is."""
    got = pytree.tree_leaves(result)
    wanted = expected(case)
    if len(got) != len(wanted):
        return f"{len(got)} results, expected {len(wanted)}"
    for value, reference in zip(got, wanted, strict=True):
        if not isinstance(reference, torch.Tensor):
            if value != reference:
                return f"{value!r}, expected {reference!r}"
            continue
        rtol, atol = TOLERANCES.get(reference.dtype, (0.0, 0.0))
        try:
            torch.testing.assert_close(
                value,
                reference,
                rtol=case.rtol if case.rtol is not None and rtol else rtol,
                atol=case.atol if case.atol is not None and rtol else atol,
                equal_nan=True,
                check_stride=False,
            )
        except AssertionError as error:
            return " ".join(str(error).split())
    return ""


def run(cases: Sequence[Case]) -> list[Any]:
    """All cases converted strictly, as one module, and called once."""
    module = Together(cases).eval()
    inputs = tuple(_alone(tensor) for case in cases for tensor in case.inputs)
    with torch.no_grad():
        converted = ts.from_pytorch(module, example_inputs=inputs, strict=True)
        return list(converted(*inputs))


def _alone(tensor: torch.Tensor) -> torch.Tensor:
    """The same layout over memory of its own: cases have nothing to do with each other."""
    if not tensor._is_view():
        return tensor
    storage = tensor.untyped_storage().clone()
    fresh = torch.empty(0, dtype=tensor.dtype)
    return fresh.set_(storage, tensor.storage_offset(), tensor.shape, tensor.stride())


def check(cases: Sequence[Case]) -> None:
    """Converts and runs all cases together and names every one that is wrong."""
    try:
        results = run(cases)
    except Exception as error:
        if len(cases) == 1:
            raise
        # One by one, to say which.
        failures = {}
        for case in cases:
            try:
                failures[case.name] = compare(case, run([case])[0])
            except Exception as inner:
                failures[case.name] = f"{type(inner).__name__}: {' '.join(str(inner).split())}"
        broken = {name: text for name, text in failures.items() if text}
        if not broken:
            raise AssertionError(f"fails only together: {error}") from error
        raise AssertionError(_listed(broken, len(cases))) from error
    wrong = {
        case.name: text
        for case, result in zip(cases, results, strict=True)
        if (text := compare(case, result))
    }
    if wrong:
        raise AssertionError(_listed(wrong, len(cases)))


def _listed(failures: dict[str, str], total: int) -> str:
    lines = "\n".join(f"  {name}: {text[:400]}" for name, text in failures.items())
    return f"{len(failures)} of {total} cases fail:\n{lines}"


# --- inputs ----------------------------------------------------------------------------------


def values(
    *shape: int,
    dtype: torch.dtype = torch.float32,
    low: float = -3.0,
    high: float = 3.0,
    seed: int = 0,
) -> torch.Tensor:
    """Random elements in [low, high); the same for the same arguments."""
    generator = torch.Generator().manual_seed(seed + 7 * math.prod(shape))
    if dtype == torch.bool:
        return torch.rand(shape, generator=generator) < 0.5
    if not dtype.is_floating_point:
        floor = 0 if dtype == torch.uint8 else int(low)
        return torch.randint(floor, max(int(high), floor + 1), shape, generator=generator).to(dtype)
    wide = torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low
    return wide.to(dtype)


def special(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """NaN, infinities, zeros of both signs, the smallest and the largest numbers."""
    info = torch.finfo(dtype)
    listed = [
        math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, 88.0,
        -88.0, 1e-3, -1e-3, info.tiny, -info.tiny, info.max, info.min, 3.0, -7.25, 20.0, 100.0,
    ]  # fmt: skip
    return torch.tensor(listed, dtype=torch.float64).to(dtype)


def layouts(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """One tensor in every layout and size a caller can come with."""
    base = values(6, 10, dtype=dtype, seed=3)
    return {
        "contiguous": base,
        "tail": values(3, 37, dtype=dtype),
        "one element": values(1, 1, dtype=dtype),
        "0-d": values(dtype=dtype),
        "empty": values(0, 4, dtype=dtype),
        "empty inside": values(3, 0, 2, dtype=dtype),
        "transposed": base.t(),
        "sliced": base[1:5, 2::3],
        "columns": base[:, 3:7],
        "broadcast": values(1, 10, dtype=dtype).expand(6, 10),
        "permuted": values(2, 3, 4, 5, dtype=dtype).permute(2, 0, 3, 1),
        "channels last": values(2, 3, 4, 5, dtype=dtype).to(memory_format=torch.channels_last),
        "long": values(1000, dtype=dtype),
        "five dims": values(2, 1, 3, 2, 5, dtype=dtype),
    }
