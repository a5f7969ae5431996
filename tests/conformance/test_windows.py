# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Pooling against PyTorch in float64."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from graph_reference import Handle, ReferenceBuilder
from harness import Case, check, values
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tessera as ts
from tessera.lowering.aten.reduction_window import max_with_places, window_axes
from tessera.lowering.aten.rules import BUILTINS
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

ATEN = torch.ops.aten

POOLS: dict[str, Callable[[Tensor], Any]] = {
    "max": lambda x: F.max_pool2d(x, 3),
    "max stride": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max uneven": lambda x: F.max_pool2d(x, (2, 3), (1, 2), (1, 0)),
    "max dilated": lambda x: F.max_pool2d(x, 2, 1, 0, 2),
    "max ceil": lambda x: F.max_pool2d(x, 3, 2, 1, 1, True),
    "max whole": lambda x: F.max_pool2d(x, (9, 11)),
    "max 1d": lambda x: F.max_pool1d(x[0], 3, 2),
    "max 3d": lambda x: F.max_pool3d(x, 2),
    "max large": lambda x: F.max_pool2d(x, 7, 1, 3),
    "max beyond": lambda x: F.max_pool2d(x, 12, 9, 6, ceil_mode=True),
    "max beyond dilated": lambda x: F.max_pool2d(x, 4, 9, 2, 3, True),
    "max places": lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
    "max places dilated": lambda x: F.max_pool2d(x, 2, 1, 1, 3, return_indices=True),
    "max places ceil": lambda x: F.max_pool2d(x, (2, 3), 3, 1, 1, True, return_indices=True),
    "max places whole": lambda x: F.max_pool2d(x, (9, 11), return_indices=True),
    "max places 1d": lambda x: F.max_pool1d(x[0], 3, 2, return_indices=True),
    "max places 3d": lambda x: F.max_pool3d(x, 2, padding=1, return_indices=True),
    "average": lambda x: F.avg_pool2d(x, 3),
    "average stride": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "average inside": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "average ceil": lambda x: F.avg_pool2d(x, 4, 3, 1, True),
    "average ceil inside": lambda x: F.avg_pool2d(x, 4, 3, 1, True, False),
    "average divisor": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    "average 1d": lambda x: F.avg_pool1d(x[0], 4, 2, 1),
    "average 3d": lambda x: F.avg_pool3d(x, 2),
    "adaptive to one": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    "adaptive none": lambda x: F.adaptive_avg_pool2d(x, (None, 2)),
    "adaptive 1d": lambda x: F.adaptive_avg_pool1d(x[0], 3),
    "adaptive same": lambda x: F.adaptive_avg_pool2d(x, (9, 11)),
    "average large": lambda x: F.avg_pool2d(x, 40, ceil_mode=True),
    "adaptive 3d": lambda x: F.adaptive_avg_pool3d(x, (2, 4, 5)),
    "adaptive more": lambda x: F.adaptive_avg_pool2d(x, (20, 13)),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, (3, 11)),
    "adaptive max uneven": lambda x: F.adaptive_max_pool2d(x, (4, 5)),
    "adaptive max places": lambda x: F.adaptive_max_pool2d(x, (3, 1), return_indices=True),
    "adaptive max places uneven": lambda x: F.adaptive_max_pool2d(x, (4, 5), return_indices=True),
    "adaptive max 1d": lambda x: F.adaptive_max_pool1d(x[0], 4, return_indices=True),
    "adaptive max 3d": lambda x: F.adaptive_max_pool3d(x, (2, 4, 5), return_indices=True),
    "lp": lambda x: F.lp_pool2d(x, 2.0, 3, 2),
    "lp 1d": lambda x: F.lp_pool1d(x[0], 3.0, 2),
    "unbatched": lambda x: F.avg_pool2d(x[0], 2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_pools(dtype: torch.dtype) -> None:
    x = values(2, 3, 9, 11, dtype=dtype)
    atol = 1e-2 if dtype == torch.bfloat16 else 2e-6
    # torch has no average over volumes in half precision.
    skipped = {"average 3d", "lp", "lp 1d"} if dtype == torch.bfloat16 else set()
    check(
        [
            Case(name, function, [x], atol=atol)
            for name, function in POOLS.items()
            if name not in skipped
        ]
    )


def test_a_mean_over_all_places_is_one_kernel() -> None:
    x = torch.randn(2, 40, 7, 7)
    model = torch.nn.AdaptiveAvgPool2d(1)
    tess = ts.from_pytorch(model, example_inputs=(x,), strict=True)
    assert len(tess.report.kernels) == 1
    torch.testing.assert_close(tess(x), model(x))


def test_pools_of_special_values() -> None:
    x = values(1, 2, 6, 6)
    x[0, 0, 2, 2], x[0, 1, 0, 0], x[0, 1, 5, 5] = torch.nan, -torch.inf, torch.inf
    names = ["max", "max stride", "max dilated", "max large", "average", "average inside"]
    names += ["max places", "max places dilated", "adaptive", "adaptive max places uneven"]
    check([Case(name, POOLS[name], [x], exact=True) for name in names])


def test_places_of_equals_and_of_nothing() -> None:
    """Of equals the first, of NaNs the last; windows of the lowest value point inside."""
    equal = torch.zeros(1, 2, 5, 5)
    lowest = torch.full((1, 2, 5, 5), -torch.inf)
    nans = values(1, 2, 5, 5)
    nans[..., 1:4, 1:4] = torch.nan
    integers = torch.full((1, 2, 5, 5), torch.iinfo(torch.int64).min)
    check(
        [
            Case(f"{name} {index}", POOLS[name], [x], exact=True)
            for index, x in enumerate([equal, lowest, nans, integers])
            for name in ["max places", "max places dilated", "max places ceil"]
        ]
    )


def test_pools_of_integers() -> None:
    x = values(2, 3, 9, 11, dtype=torch.int32, low=-50, high=50)
    check(
        [Case(name, POOLS[name], [x]) for name in ("max", "max stride", "max places", "max large")]
    )


def test_unpooling() -> None:
    x = values(2, 3, 8, 9)
    volume = values(1, 2, 4, 6, 6)

    def two(x: Tensor, **options: Any) -> Tensor:
        y, places = F.max_pool2d(x, 2, return_indices=True, **options)
        return F.max_unpool2d(y, places, 2, output_size=x.shape[-2:], **options)

    def one(x: Tensor) -> Tensor:
        y, places = F.max_pool1d(x, 3, return_indices=True)
        return F.max_unpool1d(y, places, 3)

    def three(x: Tensor) -> Tensor:
        y, places = F.max_pool3d(x, 2, return_indices=True)
        return F.max_unpool3d(y * 2, places, 2)

    check(
        [
            Case("2d", two, [x]),
            Case("2d overlapping", lambda x: two(x, stride=1), [x]),
            Case("1d", one, [values(2, 3, 9)]),
            Case("3d", three, [volume]),
            Case("unbatched", two, [x[0]]),
        ]
    )


def test_windows_drawn_at_random() -> None:
    x, volume = values(2, 3, 9, 11), values(2, 2, 5, 6, 7)
    two, three = values(2, 3, 2, low=0, high=1), values(2, 2, 3, low=0, high=1)

    def plane(x: Tensor, samples: Tensor) -> Any:
        return torch.ops.aten.fractional_max_pool2d(x, [2, 3], [4, 5], samples)

    def space(x: Tensor, samples: Tensor) -> Any:
        return torch.ops.aten.fractional_max_pool3d(x, [2, 2, 3], [3, 1, 4], samples)

    check([Case("2d", plane, [x, two], exact=True), Case("3d", space, [volume, three], exact=True)])


# --- arguments at random ---------------------------------------------------------------------


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False), st.integers(2, 3))
def test_lowerings(rng: random.Random, dims: int) -> None:
    """Pools, positions, columns and gradients, in Graph IR that is computed by PyTorch."""

    def pick(*choices: int) -> list[int]:
        return [rng.choice(choices) for _ in range(dims)]

    kernel, stride, gaps = pick(1, 2, 3, 4, 6), pick(1, 2, 3, 7), pick(1, 1, 2, 3)
    padding = [rng.randrange(taps // 2 + 1) for taps in kernel]
    ceil, include, divisor = rng.random() < 0.5, rng.random() < 0.5, rng.choice([None, 3])
    x = values(2, 2, *pick(1, 2, 5, 8), dtype=torch.float64, seed=rng.randrange(100))
    x[values(*x.shape, seed=1) > 2] = rng.choice([torch.nan, -torch.inf, 1.0])
    ctx = LoweringContext(ReferenceBuilder())

    def value(tensor: Tensor) -> GraphValue:
        return GraphValue(ctx, Handle(tensor))

    def both(name: str, *arguments: Any) -> None:
        try:
            want = getattr(ATEN, name)(*arguments)
        except RuntimeError:  # some of PyTorch's pools refuse windows larger than the input
            return
        given = [value(a) if isinstance(a, Tensor) else a for a in arguments]
        got = BUILTINS[f"{name}.default"](ctx, *given).handle.tensor
        torch.testing.assert_close(got, want, equal_nan=True, msg=lambda t: f"{arguments}: {t}")

    try:
        axes = window_axes(x.shape, dims, "pool", kernel, stride, padding, gaps, ceil)
        best, places = max_with_places(ctx, value(x), axes)
    except (ValueError, Unsupported):
        return
    maxima = (kernel, stride, padding, gaps, ceil)
    want, indices = getattr(ATEN, f"max_pool{dims}d_with_indices")(x, *maxima)
    torch.testing.assert_close(best.handle.tensor, want, equal_nan=True)
    torch.testing.assert_close(places.handle.tensor, indices)
    grad = torch.arange(want.numel(), dtype=want.dtype).reshape(want.shape)
    both(f"max_pool{dims}d_with_indices_backward", grad, x, *maxima, indices)

    try:
        axes = window_axes(x.shape, dims, "pool", kernel, stride, padding, 1, ceil)
    except ValueError:
        return
    means = (kernel, stride, padding, ceil, include, divisor)
    both(f"avg_pool{dims}d", x, *means)
    shape = (*x.shape[:2], *(axis.count for axis in axes))
    grad = torch.arange(torch.Size(shape).numel(), dtype=x.dtype).reshape(shape)
    both(f"avg_pool{dims}d_backward", grad, x, *means)
    both(f"adaptive_avg_pool{dims}d", x, pick(1, 2, 3, 7))
    if dims == 2 and not ceil:
        columns = ATEN.im2col(x, kernel, [1, 1], padding, stride)
        both("im2col", x, kernel, [1, 1], padding, stride)
        both("col2im", columns, list(x.shape[2:]), kernel, [1, 1], padding, stride)


def test_windows_that_hold_nothing_have_no_position() -> None:
    ctx = LoweringContext(ReferenceBuilder())
    x = GraphValue(ctx, Handle(values(1, 1, 1, 4)))
    axes = window_axes(x.shape, 2, "pool", [2, 2], [1, 1], [1, 1], [2, 1], False)
    with pytest.raises(Unsupported, match="holds no element"):
        max_with_places(ctx, x, axes)
