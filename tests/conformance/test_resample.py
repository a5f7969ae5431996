# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Resampling, sampled grids, windows as columns, and gradients of windows, against PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from harness import Case, check, values
from torch import Tensor

import tessera as ts

ATEN = torch.ops.aten
LINE, IMAGE, VOLUME = values(2, 3, 7), values(2, 3, 7, 9), values(1, 2, 4, 5, 6)

SIZES: dict[str, dict[str, Any]] = {
    "twice": {"scale_factor": 2},
    "half": {"scale_factor": 0.5},
    "odd factor": {"scale_factor": 1.7},
    "recomputed": {"scale_factor": 1.7, "recompute_scale_factor": True},
    "larger": {"size": 23},
    "smaller": {"size": 3},
    "one": {"size": 1},
    "same": {"size": 7},
}


def _interpolations(x: Tensor, mode: str, **options: Any) -> list[Case]:
    cases = []
    for name, sizes in SIZES.items():

        def call(x: Tensor, sizes: dict[str, Any] = sizes) -> Tensor:
            return F.interpolate(x, mode=mode, **sizes, **options)

        label = f"{x.ndim - 2}d {mode} {options} {name}"
        half = x.dtype in (torch.bfloat16, torch.float16)
        cases.append(Case(label, call, [x], atol=2e-2 if half else 1e-5, exact=mode[:4] == "near"))
    return cases


@pytest.mark.parametrize("x", [LINE, IMAGE, VOLUME], ids=["1d", "2d", "3d"])
def test_nearest(x: Tensor) -> None:
    cases = [c for mode in ("nearest", "nearest-exact") for c in _interpolations(x, mode)]
    check(cases)


def test_repeated_images_are_one_kernel() -> None:
    x = torch.randn(1, 2, 9, 7)
    for factors in ((2, 2), (3, 1), (4, 5)):
        model = torch.nn.Upsample(scale_factor=factors)
        tess = ts.from_pytorch(model, example_inputs=(x,), strict=True)
        assert len(tess.report.kernels) == 1
        assert torch.equal(tess(x), model(x))


def test_linear_and_cubic() -> None:
    cases = []
    for mode, x in (
        ("linear", LINE),
        ("bilinear", IMAGE),
        ("trilinear", VOLUME),
        ("bicubic", IMAGE),
    ):
        for align in (False, True):
            cases += _interpolations(x, mode, align_corners=align)
    check(cases)


def test_antialiased() -> None:
    cases = []
    for mode in ("bilinear", "bicubic"):
        cases += _interpolations(IMAGE, mode, antialias=True)
        cases += _interpolations(IMAGE, mode, antialias=True, align_corners=True)
    check(cases)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_resampling_of_other_types(dtype: torch.dtype) -> None:
    x = values(1, 2, 6, 8, dtype=dtype)
    cases = _interpolations(x, "bilinear", align_corners=False)
    cases += _interpolations(x, "bicubic", align_corners=True)
    check([*cases, *_interpolations(x, "nearest")])


def test_sizes_apart_and_images_of_bytes() -> None:
    bytes_ = values(1, 3, 6, 8, dtype=torch.uint8, high=255)

    def apart(x: Tensor) -> Tensor:
        return F.interpolate(x, size=(3, 20), mode="bilinear")

    check(
        [
            Case("apart", apart, [IMAGE], atol=1e-5),
            Case("factors apart", lambda x: F.interpolate(x, scale_factor=(3, 0.6)), [IMAGE]),
            Case("bytes", lambda x: F.interpolate(x, scale_factor=1.5), [bytes_]),
            Case("infinite", lambda x: F.interpolate(x, scale_factor=2), [IMAGE / 0]),
        ]
    )  # fmt: skip


# --- grids -----------------------------------------------------------------------------------


def _grids(dims: int) -> list[Case]:
    x = values(2, 3, *(5, 6, 4)[:dims])
    grid = values(2, *(4, 7, 3)[:dims], dims, low=-1.6, high=1.6, seed=1)
    cases = []
    for mode in ("bilinear", "nearest", "bicubic")[: 5 - dims]:
        for padding in ("zeros", "border", "reflection"):
            for align in (False, True):

                def call(
                    x: Tensor, g: Tensor, mode: str = mode, padding: str = padding, a: bool = align
                ) -> Tensor:
                    return F.grid_sample(x, g, mode, padding, a)

                cases.append(Case(f"{dims}d {mode} {padding} {align}", call, [x, grid], atol=2e-5))
    return cases


@pytest.mark.parametrize("dims", [2, 3])
def test_grids(dims: int) -> None:
    check(_grids(dims))


def test_grids_that_point_nowhere() -> None:
    """NaN and infinity: what PyTorch makes of them, and never an index out of range."""
    x, grid = values(1, 2, 4, 4), values(1, 3, 3, 2)
    grid[0, 0, 0], grid[0, 1, 1, 0], grid[0, 2, 2, 1] = torch.nan, torch.inf, -torch.inf
    grid[0, 2, 0, 0] = 1e30
    cases = []
    for mode, padding in itertools.product(("bilinear", "nearest"), ("zeros", "border")):

        def call(x: Tensor, g: Tensor, mode: str = mode, padding: str = padding) -> Tensor:
            return F.grid_sample(x, g, mode, padding, False)

        cases.append(Case(f"{mode} {padding}", call, [x, grid], atol=2e-5))
    check(cases)


def test_affine_grids() -> None:
    two, three = values(2, 2, 3), values(2, 3, 4)
    cases = []
    for align in (False, True):
        for theta, size in ((two, (2, 3, 5, 1)), (three, (2, 1, 3, 4, 5))):

            def call(t: Tensor, size: Any = size, align: bool = align) -> Tensor:
                return F.affine_grid(t, size, align)

            cases.append(Case(f"{size} {align}", call, [theta], atol=1e-5))
    check(cases)


# --- columns ---------------------------------------------------------------------------------

COLUMNS: dict[str, tuple[Any, ...]] = {
    "plain": (3,),
    "apart": ((2, 3), 1, 0, (2, 3)),
    "dilated": (2, (2, 3), 1, 1),
    "padded": ((3, 1), 1, (2, 0), 2),
    "one window": ((7, 9),),
    "pixels": (1, 3, 0, 2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_columns(dtype: torch.dtype) -> None:
    image = values(2, 3, 7, 9, dtype=dtype)
    cases = [Case("unbatched", lambda x: F.unfold(x, 3, 1, 1), [image[0]])]
    for name, arguments in COLUMNS.items():

        def columns(x: Tensor, arguments: Any = arguments) -> Tensor:
            return F.unfold(x, *arguments)

        def back(y: Tensor, arguments: Any = arguments) -> Tensor:
            return F.fold(y, (7, 9), *arguments)

        made = columns(image)
        cases.append(Case(f"unfold {name}", columns, [image]))
        cases.append(
            Case(f"fold {name}", back, [made], atol=0.1 if dtype != torch.float32 else 1e-5)
        )
    check(cases)


# --- gradients -------------------------------------------------------------------------------


def _gradient(name: str, function: Callable[[Tensor], Any], x: Tensor) -> Case:
    """What autograd calls, captured as the operator it is."""
    y = function(x.clone().requires_grad_())
    y = y[0] if isinstance(y, tuple) else y
    node = y.grad_fn
    assert node is not None
    return Case(name, BACKWARD[name], [values(*y.shape, seed=5), x], atol=1e-5)


BACKWARD: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "average": lambda g, x: ATEN.avg_pool2d_backward(
        g, x, [3, 3], [2, 2], [1, 1], True, False, None
    ),
    "average large": lambda g, x: ATEN.avg_pool2d_backward(
        g, x, [6, 6], [1, 1], [0, 0], False, True, 7
    ),
    "adaptive": lambda g, x: ATEN._adaptive_avg_pool2d_backward(g, x),
    "maximum": lambda g, x: ATEN.max_pool2d_with_indices_backward(
        g, x, [3, 3], [2, 1], [1, 1], [1, 2], False,
        ATEN.max_pool2d_with_indices(x, [3, 3], [2, 1], [1, 1], [1, 2])[1],
    ),
    "maximum of all": lambda g, x: ATEN.max_pool2d_with_indices_backward(
        g, x, [7, 9], [7, 9], [0, 0], [1, 1], False,
        ATEN.max_pool2d_with_indices(x, [7, 9], [7, 9])[1],
    ),
    "adaptive maximum": lambda g, x: ATEN.adaptive_max_pool2d_backward(
        g, x, ATEN.adaptive_max_pool2d(x, [3, 4])[1]
    ),
    "reflected": lambda g, x: ATEN.reflection_pad2d_backward(g, x, [3, 0, 2, 6]),
    "repeated": lambda g, x: ATEN.replication_pad2d_backward(g, x, [3, -1, 2, 8]),
    "nearest": lambda g, x: ATEN.upsample_nearest2d_backward(g, [12, 20], [2, 3, 7, 9]),
    "bilinear": lambda g, x: ATEN.upsample_bilinear2d_backward(g, [12, 5], [2, 3, 7, 9], False),
    "bicubic": lambda g, x: ATEN.upsample_bicubic2d_backward(g, [12, 5], [2, 3, 7, 9], True),
}  # fmt: skip

FORWARD: dict[str, Callable[[Tensor], Any]] = {
    "average": lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
    "average large": lambda x: F.avg_pool2d(x, 6, 1, divisor_override=7),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    "maximum": lambda x: F.max_pool2d(x, 3, (2, 1), 1, (1, 2)),
    "maximum of all": lambda x: F.max_pool2d(x, (7, 9)),
    "adaptive maximum": lambda x: F.adaptive_max_pool2d(x, (3, 4)),
    "reflected": lambda x: F.pad(x, (3, 0, 2, 6), "reflect"),
    "repeated": lambda x: F.pad(x, (3, -1, 2, 8), "replicate"),
    "nearest": lambda x: F.interpolate(x, (12, 20)),
    "bilinear": lambda x: F.interpolate(x, (12, 5), mode="bilinear"),
    "bicubic": lambda x: F.interpolate(x, (12, 5), mode="bicubic", align_corners=True),
}


def test_gradients() -> None:
    check([_gradient(name, function, IMAGE) for name, function in FORWARD.items()])


def test_gradients_are_autograds() -> None:
    """The operators above are called with the arguments autograd would give them."""
    for name, function in FORWARD.items():
        x = IMAGE.clone().requires_grad_()
        y = function(x)
        g = values(*y.shape, seed=5)
        (want,) = torch.autograd.grad(y, x, g)
        torch.testing.assert_close(
            BACKWARD[name](g, IMAGE), want, msg=lambda text, n=name: f"{n}: {text}"
        )
