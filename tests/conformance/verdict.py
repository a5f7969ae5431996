# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One call converted strictly, and its results held against PyTorch's."""

from __future__ import annotations

import copy
import math
import re
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from op_samples import Function, Sample
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import tessera as ts
from tessera.errors import (
    ArgumentError,
    ArgumentTypeError,
    CaptureError,
    ConversionError,
    TesseraError,
)

#: Compiled in full, with the right values.
PASS = "pass"
#: Not compiled in full; as a hybrid, where that is possible, the values are right.
REFUSED = "refused"
WRONG = "wrong"
#: An error that is no clear refusal: always a bug.
ERROR = "error"
#: PyTorch itself does not take the sample.
SKIPPED = "skipped"


@dataclass(frozen=True)
class Verdict:
    status: str
    reason: str = ""


class Mismatch(Exception):
    """Results that are not PyTorch's."""


def judge(sample: Sample, *, hybrid: bool = True) -> Verdict:
    """What becomes of a sample; `hybrid` also runs what does not compile in full, as a hybrid."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wanted = Wanted(sample)
        except Exception as error:
            return Verdict(SKIPPED, f"PyTorch: {line_of(error)}")
        try:
            return _judge(sample, wanted, hybrid)
        except Mismatch as error:
            return Verdict(WRONG, line_of(error))
        except Exception as error:
            return Verdict(ERROR, f"{type(error).__name__}: {line_of(error)}")


def _judge(sample: Sample, wanted: Wanted, hybrid: bool) -> Verdict:
    try:
        converted = _convert(sample, strict=True)
    except (ConversionError, CaptureError, ArgumentError) as error:
        verdict = Verdict(REFUSED, why(error))
    else:
        wanted.compare(converted, sample)
        return Verdict(PASS)
    if hybrid:
        try:
            wanted.compare(_convert(sample, strict=False), sample)
        except (ConversionError, CaptureError, ArgumentError, ArgumentTypeError):
            return verdict  # a clear error, which says what cannot be
        except Mismatch as error:
            raise Mismatch(f"as a hybrid: {error}") from error
    return verdict


def _convert(sample: Sample, *, strict: bool) -> nn.Module:
    module = copy.deepcopy(sample.module) if _has_state(sample.module) else sample.module
    result: nn.Module = ts.from_pytorch(
        module, example_inputs=sample.args, example_kwargs=sample.kwargs, strict=strict
    )
    # Where a capture's results are compared, so are the buffers it writes.
    result.__dict__["_original"] = module
    return result


def _has_state(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None or next(module.buffers(), None) is not None


def why(error: TesseraError) -> str:
    """The reasons, without the advice."""
    if isinstance(error, ConversionError):
        islands = [row for row in error.report.nodes if row.reason and row.code != "between"]
        if islands:
            row = islands[0]
            more = f" (and {len(islands) - 1} more)" if len(islands) > 1 else ""
            return f"{row.op}: {' '.join(row.reason.split())}{more}"
    return line_of(error)


def line_of(error: BaseException) -> str:
    text = str(error).split("\n  What to do:")[0]
    text = " ".join(text.split())
    return re.sub(r"0x[0-9a-f]{6,}", "0x…", text)[:400]


# --- comparison ------------------------------------------------------------------------------


def _run(module: nn.Module, args: Any, kwargs: Any, seed: int = 0) -> list[Any]:
    args, kwargs = pytree.tree_map_only(Tensor, torch.clone, (args, kwargs))
    torch.manual_seed(seed)
    return pytree.tree_leaves(module(*args, **kwargs))


class Wanted:
    """PyTorch's results of a sample, buffers included."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.module = copy.deepcopy(sample.module) if _has_state(sample.module) else sample.module
        self.values = _run(self.module, sample.args, sample.kwargs)
        self.buffers = dict(self.module.named_buffers())
        again = copy.deepcopy(sample.module) if _has_state(sample.module) else sample.module
        other = _run(again, sample.args, sample.kwargs, seed=1)
        #: what of them is unique, as are all results of nearly every operator
        self.meant = self._meaning(self.values)
        #: drawn at random: only what kind of tensors they are can be compared
        self.random = sample.undefined or not self._is_same(self._meaning(other))

    def _meaning(self, values: list[Any]) -> list[Any]:
        return values if self.sample.meaning is None else list(self.sample.meaning(*values))

    def _is_same(self, other: list[Any]) -> bool:
        """Whether a call with another seed meant the same."""
        if self.sample.meaning is None:
            return _same(self.meant, other, (0.0, 0.0))
        return _same(self.meant, other, self.tolerance(self.meant[0].dtype))

    def compare(self, converted: nn.Module, sample: Sample) -> None:
        got = _run(converted, sample.args, sample.kwargs)
        if len(got) != len(self.values):
            raise Mismatch(f"{len(got)} results, PyTorch gives {len(self.values)}")
        for index, (ours, theirs) in enumerate(zip(got, self.values, strict=True)):
            self._compare_kind(index, ours, theirs)
        if self.random:
            return
        for index, (ours, theirs) in enumerate(zip(self._meaning(got), self.meant, strict=True)):
            self._compare_values(index, ours, theirs)
        original = converted.__dict__["_original"]
        for name, theirs in self.buffers.items():
            ours = original.get_buffer(name)
            if not _close(ours, theirs, self.tolerance(theirs.dtype)):
                raise Mismatch(f"buffer {name}: {_largest(ours, theirs)}")

    def tolerance(self, dtype: torch.dtype) -> tuple[float, float]:
        default = torch.testing._comparison.default_tolerances(dtype)
        given, inexact = self.sample.tolerance, dtype.is_floating_point or dtype.is_complex
        return default if given is None or not inexact else given

    def _place(self, index: int) -> str:
        return f"result {index}: " if len(self.values) > 1 else ""

    def _compare_kind(self, index: int, ours: Any, theirs: Any) -> None:
        place = self._place(index)
        if isinstance(ours, float) and isinstance(theirs, float) and not self.random:
            rtol, atol = self.tolerance(torch.float32)
            if math.isclose(ours, theirs, rel_tol=rtol, abs_tol=atol):
                return  # read from a tensor of whatever type
        if not isinstance(theirs, Tensor):
            if ours != theirs and not (ours != ours and theirs != theirs) and not self.random:
                raise Mismatch(f"{place}{ours!r}, PyTorch gives {theirs!r}")
            return
        if not isinstance(ours, Tensor):
            raise Mismatch(f"{place}a {type(ours).__name__}, PyTorch gives a tensor")
        for what in ("dtype", "shape", "layout"):
            if getattr(ours, what) != getattr(theirs, what):
                raise Mismatch(
                    f"{place}{what} {getattr(ours, what)}, PyTorch gives {getattr(theirs, what)}"
                )
        if theirs.layout == torch.strided and theirs.is_contiguous() and not ours.is_contiguous():
            raise Mismatch(f"{place}strides {ours.stride()}, PyTorch's are contiguous")

    def _compare_values(self, index: int, ours: Any, theirs: Any) -> None:
        if not isinstance(theirs, Tensor) or _close(ours, theirs, self.tolerance(theirs.dtype)):
            return
        if not self._as_exact(index, ours, theirs):
            raise Mismatch(f"{self._place(index)}{_largest(ours, theirs)}")

    def _as_exact(self, index: int, ours: Tensor, theirs: Tensor) -> bool:
        """Whether each element is as near to float64's answer as float64 lets one ask for.

        That is twice the error of PyTorch's worst element, or twice what becomes of inputs that
        are off by their last digit.
        """
        if not theirs.is_floating_point() and not theirs.is_complex():
            return False
        exact = self._in_float64()
        if exact is None or not isinstance(exact[index], Tensor):
            return False
        tolerance = self.tolerance(ours.dtype)
        ours, theirs = _reals(ours), _reals(theirs)
        reference = _reals(exact[index]).double()
        if reference.shape != ours.shape:
            return False
        rounded = reference.to(ours.dtype)
        bound = reference.new_zeros(())
        nudged = [self._in_float64(nudge=seed) for seed in (1, 2)]
        others = [theirs, *(_reals(result[index]) for result in nudged if result is not None)]
        for other in others:
            off = (other.double() - reference).abs()
            finite = off[off.isfinite()]
            if finite.numel():
                bound = torch.maximum(bound, finite.max())
        error = (ours.double() - reference).abs()
        rtol, atol = tolerance
        near = reference.isfinite() & (error <= 2 * bound + atol + rtol * reference.abs())
        right = near | (ours == rounded) | (ours.isnan() & rounded.isnan())
        right |= (ours == theirs) | (ours.isnan() & theirs.isnan())
        return bool(right.all())

    def _in_float64(self, nudge: int = 0) -> list[Any] | None:
        """PyTorch's results from wider inputs, with `nudge` each off by its last digit."""
        signs = torch.Generator().manual_seed(nudge)

        def widen(tensor: Tensor) -> Tensor:
            if tensor.is_complex():
                return torch.view_as_complex(widen(_reals(tensor)))
            if not tensor.is_floating_point():
                return tensor
            wide = tensor.double()
            if not nudge:
                return wide
            sign = torch.randint(0, 2, wide.shape, generator=signs) * 2 - 1
            return wide * (1 + sign * torch.finfo(tensor.dtype).eps)

        default = torch.get_default_dtype()
        try:
            module = copy.deepcopy(self.sample.module).double()
            if isinstance(module, Function):
                module.flat = pytree.tree_map_only(Tensor, widen, module.flat)
            args, kwargs = pytree.tree_map_only(
                Tensor, widen, (self.sample.args, self.sample.kwargs)
            )
            # What becomes of integers follows the default dtype.
            torch.set_default_dtype(torch.float64)
            return self._meaning(_run(module, args, kwargs))
        except Exception:  # not every operator takes float64 beside what the sample fixes
            return None
        finally:
            torch.set_default_dtype(default)


def _reals(tensor: Tensor) -> Tensor:
    """Complex numbers as their parts; everything else as it is."""
    if not tensor.is_complex():
        return tensor
    return torch.view_as_real(tensor.resolve_conj().resolve_neg())


def _close(ours: Tensor, theirs: Tensor, tolerance: tuple[float, float]) -> bool:
    if theirs.layout != torch.strided or theirs.is_quantized:
        ours, theirs = ours.to_dense(), theirs.to_dense()
    rtol, atol = tolerance
    try:
        torch.testing.assert_close(
            ours, theirs, rtol=rtol, atol=atol, equal_nan=True, check_stride=False
        )
    except AssertionError:
        return False
    return True


def _same(left: list[Any], right: list[Any], tolerance: tuple[float, float]) -> bool:
    if len(left) != len(right):
        return False
    for one, other in zip(left, right, strict=True):
        if isinstance(one, Tensor):
            if one.shape != other.shape or not _close(one, other, tolerance):
                return False
        elif one != other and (one == one or other == other):
            return False
    return True


def _largest(ours: Tensor, theirs: Tensor) -> str:
    """The element that differs most."""
    if theirs.layout != torch.strided:
        return "other values"
    a, b = ours.reshape(-1), theirs.reshape(-1)
    wrong = ~((a == b) | (a.isnan() & b.isnan()))
    wide = torch.complex128 if theirs.is_complex() else torch.float64
    a, b = a.to(wide), b.to(wide)
    distance = torch.where(wrong, (a - b).abs().nan_to_num(torch.inf, torch.inf), 0.0)
    worst = int(distance.argmax())
    return (
        f"{int(wrong.sum())} of {theirs.numel()} elements differ, most at {worst}: "
        f"{ours.reshape(-1)[worst].item()!r}, PyTorch gives {theirs.reshape(-1)[worst].item()!r}"
    )
