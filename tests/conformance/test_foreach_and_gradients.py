# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators PyTorch has no decomposition for, called by name: lists, gradients, prims."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from calling import Calling
from torch import Tensor

import tessera as ts

aten = torch.ops.aten


def _check(function: Callable[..., Any], *given: Tensor) -> None:
    wanted = function(*given)
    converted = ts.from_pytorch(Calling(function), given, strict=True)
    torch.testing.assert_close(converted(*given), wanted, equal_nan=True)


def _written(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Tensor, y: Tensor) -> list[Tensor]:
        tensors = [x.clone(), y.clone()]
        function(tensors)
        return tensors

    return run


LISTS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "number": lambda x, y: aten._foreach_add.Scalar([x, y], 2),
    "lists": lambda x, y: aten._foreach_sub.List([x, y], [y, x], alpha=2),
    "numbers": lambda x, y: aten._foreach_mul.ScalarList([x, y], [2, 0.5]),
    "tensor": lambda x, y: aten._foreach_div.Tensor([x, y], y[0, 0]),
    "unary": lambda x, y: aten._foreach_exp([x, y]),
    "norm": lambda x, y: aten._foreach_norm.Scalar([x, y], 1),
    "power of a number": lambda x, y: aten._foreach_pow.ScalarAndTensor(2, [x, y]),
    "three lists": lambda x, y: aten._foreach_addcdiv.Scalar([x, y], [y, x], [y, y], 0.5),
    "three lists, numbers": lambda x, y: aten._foreach_addcmul.ScalarList(
        [x, y], [y, x], [y, y], [0.5, 2.0]
    ),
    "lerp": lambda x, y: aten._foreach_lerp.Scalar([x, y], [y, x], 0.25),
    "in place": _written(lambda pair: aten._foreach_clamp_min_.Scalar(pair, 0)),
    "in place, copied": _written(lambda pair: aten._foreach_copy_(pair[:1], pair[1:])),
    "in place, zero": _written(lambda pair: aten._foreach_zero_(pair)),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_tensors(name: str) -> None:
    _check(LISTS[name], torch.randn(3, 4), torch.rand(3, 4) + 0.5)


@pytest.mark.parametrize("op", [aten.hardshrink_backward, aten.softshrink_backward])
def test_shrink_backward(op: Any) -> None:
    x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 0.6, math.nan, math.inf])
    _check(lambda g, x: op(g, x, 0.5), torch.randn(7), x)


@pytest.mark.parametrize("reduction", [0, 1, 2])
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("rows", [True, False])
def test_multi_margin_loss_backward(rows: bool, p: int, reduction: int) -> None:
    x, target = torch.randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
    if not rows:
        x, target = x[0], target[0]
    grad = torch.randn(target.shape if reduction == 0 else ())
    weight = torch.rand(4)
    _check(
        lambda g, x, t, w: [
            aten.multi_margin_loss_backward(g, x, t, p, 0.7, None, reduction),
            aten.multi_margin_loss_backward(g, x, t, p, 1.0, w, reduction),
        ],
        *(grad, x, target, weight),
    )


@pytest.mark.parametrize("reduction", [0, 1, 2])
@pytest.mark.parametrize("rows", [True, False])
def test_multilabel_margin_loss_backward(rows: bool, reduction: int) -> None:
    x = torch.randn(3, 4)
    target = torch.tensor([[3, 0, -1, 1], [-1, 0, 1, 2], [0, 1, 2, 3]])
    if not rows:
        x, target = x[0], target[0]
    loss, is_target = aten.multilabel_margin_loss_forward(x, target, reduction)
    _check(
        lambda g, x, t, i: aten.multilabel_margin_loss_backward(g, x, t, reduction, i),
        *(torch.randn(loss.shape), x, target, is_target),
    )


def test_masked_scatter_backward() -> None:
    mask = torch.tensor([[True, False, True], [False, True, True]])
    _check(lambda g, m: aten.masked_scatter_backward(g, m, [2, 4]), torch.randn(2, 3), mask)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, math.inf])
def test_distances_backward(p: float) -> None:
    x, y = torch.randn(2, 5, 3), torch.randn(2, 4, 3)
    x[0, 0] = y[0, 0]
    cdist = aten._cdist_forward(x, y, p, None)
    _check(
        lambda g, x, y, d: aten._cdist_backward(g, x, y, p, d),
        *(torch.randn(2, 5, 4), x, y, cdist),
    )
    rows = torch.cat([x[0], x[0, :1]])
    pdist = aten._pdist_forward(rows, p)
    _check(lambda g, x, d: aten._pdist_backward(g, x, p, d), torch.randn(pdist.shape), rows, pdist)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_attention_backward(causal: bool, masked: bool) -> None:
    if causal and masked:
        pytest.skip("PyTorch takes one of the two")
    q, k, v, g = (torch.randn(2, 3, 8, 16) for _ in range(4))
    mask = torch.randn(8, 8) if masked else None
    flash = aten._scaled_dot_product_flash_attention_for_cpu
    out, lse = flash(q, k, v, 0.0, causal, attn_mask=mask)
    backward = aten._scaled_dot_product_flash_attention_for_cpu_backward
    _check(
        lambda g, q, k, v, o, s, *m: backward(
            g, q, k, v, o, s, 0.0, causal, attn_mask=m[0] if m else None
        ),
        *(g, q, k, v, out, lse, *([mask] if mask is not None else [])),
    )


def test_fractional_max_pool_backward() -> None:
    x, noise = torch.randn(2, 3, 8, 8), torch.rand(2, 3, 2)
    y, places = aten.fractional_max_pool2d(x, [2, 2], [4, 4], noise)
    _check(
        lambda g, x, i: aten.fractional_max_pool2d_backward(g, x, [2, 2], [4, 4], i),
        *(torch.randn(y.shape), x, places),
    )


def test_zeros_that_take_no_memory_are_zeros() -> None:
    _check(lambda x: aten._efficientzerotensor([3, 4], dtype=x.dtype), torch.ones(2))


prims = torch.ops.prims
OTHERS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "prims of one": lambda x, y: [prims.exp(x), prims.cbrt(y), prims.bessel_i0e(x), prims.neg(x)],
    "prims of two": lambda x, y: [prims.add(x, y), prims.atan2(x, y), prims.zeta(y + 2, y)],
    "prims of shapes": lambda x, y: [
        prims.broadcast_in_dim(x, [2, 3, 4], [1, 2]),
        prims.cat([x, y], 1),
        prims.transpose(x, [1, 0]),
        prims.rev(x, [0]),
        prims.split_dim(x, 1, 2),
    ],
    "prims of rows": lambda x, y: [prims.sum(x, [0]), prims.amax(x, [1]), prims.var(x, [0], 1)],
    "convolutions": lambda x, y: [
        aten.slow_conv_dilated2d(x.reshape(1, 1, 3, 4), y[:2, :2].reshape(1, 1, 2, 2), [2, 2]),
        aten.thnn_conv2d(
            x.reshape(1, 1, 3, 4), y[:2, :2].reshape(1, 1, 2, 2), [2, 2], None, [2, 2], [1, 1]
        ),
    ],
    "add and relu": lambda x, y: aten._add_relu.Tensor(x, y, alpha=2),
    "product and activation": lambda x, y: [
        aten._addmm_activation(x[:, 0], x, y.t(), beta=2, use_gelu=gelu) for gelu in (False, True)
    ],
    "both ends": lambda x, y: aten._aminmax.dim(x, 1, True),
    "masked softmax": lambda x, y: aten._masked_softmax(x, x > 0.2, 1, 1),
    "heads": lambda x, y: aten._transform_bias_rescale_qkv(
        torch.cat([x, y, x], 1).reshape(1, 3, 12), x.reshape(12), 2
    ),
    "stack": lambda x, y: aten._stack([x, y], 1),
}


@pytest.mark.parametrize("name", OTHERS)
def test_others(name: str) -> None:
    _check(OTHERS[name], torch.randn(3, 4), torch.rand(3, 4) + 0.5)
