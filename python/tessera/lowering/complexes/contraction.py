# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Products of complex matrices: four real products each, as exact as PyTorch's."""

from __future__ import annotations

from typing import Any

import torch

from tessera.lowering.complexes.pairs import Pair, pairs, translation

aten = torch.ops.aten


@translation("mm", "bmm", "mv", "dot", "inner", "outer", "ger", "kron", with_operator=True)
def product(target: Any, a: Any, b: Any) -> Pair:
    """`target`, which is linear in both of its operands."""
    x, y = pairs(a, b)
    return Pair(target(x.re, y.re) - target(x.im, y.im), target(x.re, y.im) + target(x.im, y.re))


@translation("vdot")
def vdot(self: Pair, other: Pair) -> Pair:
    return product(aten.dot, self.conjugate(), other)


def _sum(bias: Any, value: Pair, beta: Any, alpha: Any) -> Pair:
    x, scale_x, scale = pairs(bias, beta, alpha)
    scaled = value if alpha == 1 else value * scale
    if beta == 0:  # whatever is in it
        return scaled
    return (x if beta == 1 else x * scale_x) + scaled


@translation("addmm")
def addmm(self: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Pair:
    return _sum(self, product(aten.mm, mat1, mat2), beta, alpha)


@translation("baddbmm")
def baddbmm(self: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Pair:
    return _sum(self, product(aten.bmm, batch1, batch2), beta, alpha)


@translation("addbmm")
def addbmm(self: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Pair:
    total = product(aten.bmm, batch1, batch2).map(lambda part: part.sum(0))
    return _sum(self, total, beta, alpha)


@translation("addmv")
def addmv(self: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Pair:
    return _sum(self, product(aten.mv, mat, vec), beta, alpha)


@translation("addr")
def addr(self: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Pair:
    return _sum(self, product(aten.outer, vec1, vec2), beta, alpha)


@translation("linear")
def linear(input: Any, weight: Any, bias: Any = None) -> Pair:
    value = product(torch.nn.functional.linear, input, weight)
    return value if bias is None else _sum(bias, value, 1, 1)


@translation(
    "convolution",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    with_operator=True,
)
def convolution(target: Any, input: Any, weight: Any, bias: Any = None, *args: Any) -> Pair:
    """Linear in the input and in the weight."""
    value = product(lambda x, w: target(x, w, None, *args), input, weight)
    if bias is None:
        return value
    shape = (-1, *(1,) * (weight.ndim - 2))  # there may be no batch
    return value + pairs(bias, value)[0].map(lambda part: part.reshape(shape))
