# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Normalization against PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from harness import FLOATS, Case, check, values
from torch import nn

aten = torch.ops.aten

LOOSE: dict[torch.dtype, dict[str, float]] = {
    torch.float32: {"rtol": 1e-5, "atol": 2e-5},
    torch.float64: {},
    torch.float16: {"rtol": 2e-3, "atol": 2e-3},
    torch.bfloat16: {"rtol": 1.6e-2, "atol": 1.6e-2},
}


def _positive(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return values(*shape, dtype=dtype, low=0.5, high=2)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_norms(dtype: torch.dtype) -> None:
    x, w, b = (values(*shape, dtype=dtype) for shape in [(4, 6, 20), (20,), (20,)])
    image = values(2, 8, 5, 6, dtype=dtype)
    scale, shift = values(8, dtype=dtype), values(8, dtype=dtype, seed=1)
    mean, var = values(8, dtype=dtype, seed=2), _positive(8, dtype=dtype)
    w2, b2 = values(6, 20, dtype=dtype), values(6, 20, dtype=dtype, seed=1)
    cases: dict[str, tuple[Callable[..., Any], list[torch.Tensor]]] = {
        "layer": (lambda x, w, b: F.layer_norm(x, [20], w, b), [x, w, b]),
        "layer plain": (lambda x: F.layer_norm(x, [20]), [x]),
        "layer weight": (lambda x, w: F.layer_norm(x, [20], w, eps=1e-3), [x, w]),
        "layer bias": (lambda x, b: F.layer_norm(x, [20], None, b), [x, b]),
        "layer two axes": (lambda x, w, b: F.layer_norm(x, [6, 20], w, b), [x, w2, b2]),
        "layer all axes": (lambda x: F.layer_norm(x, [4, 6, 20]), [x]),
        "native layer": (
            lambda x, w, b: aten.native_layer_norm(x, [20], w, b, 1e-5),
            [x, w, b],
        ),
        "rms": (lambda x, w: F.rms_norm(x, [20], w, 1e-6), [x, w]),
        "rms plain": (lambda x: F.rms_norm(x, [20], eps=1e-5), [x]),
        "rms two axes": (lambda x, w: F.rms_norm(x, [6, 20], w, 1e-5), [x, w2]),
        "rms by hand": (
            lambda x, w: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w,
            [x, w],
        ),
        "layer by hand": (
            lambda x, w, b: (
                (x - x.mean(-1, keepdim=True))
                / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-5) * w + b
            ),
            [x, w, b],
        ),
        "group": (lambda x, w, b: F.group_norm(x, 4, w, b), [image, scale, shift]),
        "group plain": (lambda x: F.group_norm(x, 2), [image]),
        "group of one": (lambda x, w: F.group_norm(x, 8, w), [image, scale]),
        "group bias": (lambda x, b: F.group_norm(x, 2, None, b), [image, shift]),
        "group flat": (lambda x: F.group_norm(x, 2), [values(3, 8, dtype=dtype)]),
        "native group": (
            lambda x, w, b: aten.native_group_norm(x, w, b, 2, 8, 30, 4, 1e-5),
            [image, scale, shift],
        ),
        "batch": (
            lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b),
            [image, mean, var, scale, shift],
        ),
        "batch plain": (lambda x, m, v: F.batch_norm(x, m, v), [image, mean, var]),
        "batch flat": (
            lambda x, m, v: F.batch_norm(x, m, v),
            [values(5, 8, dtype=dtype), mean, var],
        ),
        "batch without statistics": (
            lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
            [image, scale, shift],
        ),
        "no training": (
            lambda x, w, b, m, v: aten._native_batch_norm_legit_no_training(
                x, w, b, m, v, 0.1, 1e-5
            )[0],
            [image, scale, shift, mean, var],
        ),
        "instance": (lambda x, w, b: F.instance_norm(x, None, None, w, b), [image, scale, shift]),
        "instance plain": (lambda x: F.instance_norm(x), [image]),
    }  # fmt: skip
    check(
        [Case(name, function, inputs, **LOOSE[dtype]) for name, (function, inputs) in cases.items()]
    )


def test_mixed_types() -> None:
    x = values(4, 32, dtype=torch.bfloat16)
    w, b = values(32), values(32, seed=1)
    check(
        [
            Case(
                "layer",
                lambda x, w, b: F.layer_norm(x, [32], w, b),
                [x, w, b],
                exact=True,
                atol=2e-2,
            ),
            Case(
                "native layer",
                lambda x, w, b: aten.native_layer_norm(x, [32], w, b, 1e-5)[0],
                [x, w, b],
                exact=True,
                atol=2e-2,
            ),
        ]
    )


def test_shapes() -> None:
    cases = []
    for shape in [(1, 1), (3, 1), (1, 300), (7, 33), (2, 1025), (0, 16), (2, 3, 4, 17)]:
        x, w = values(*shape), values(shape[-1])
        cases += [
            Case(f"layer {shape}", lambda x, w: F.layer_norm(x, w.shape, w), [x, w], atol=2e-5),
            Case(f"rms {shape}", lambda x, w: F.rms_norm(x, w.shape, w, 1e-6), [x, w], atol=2e-5),
        ]
    x = values(6, 10, 32)
    cases += [
        Case("transposed", lambda x: F.layer_norm(x, [10]), [x.transpose(1, 2)], atol=2e-5),
        Case("sliced", lambda x: F.layer_norm(x, [16]), [x[1:5, :, ::2]], atol=2e-5),
        Case("broadcast", lambda x: F.layer_norm(x, [32]), [x[:1].expand(6, 10, 32)], atol=2e-5),
        Case("far from zero", lambda x: F.layer_norm(x + 1000, [32]), [x], exact=True, atol=2e-2),
        Case("constant rows", lambda x: F.layer_norm(x * 0 + 3, [32]), [x]),
    ]
    check(cases)


def test_modules() -> None:
    class Norms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.batch1, self.batch2 = nn.BatchNorm1d(8), nn.BatchNorm2d(8)
            self.layer, self.group = nn.LayerNorm(6), nn.GroupNorm(4, 8)
            self.instance, self.rms = nn.InstanceNorm2d(8, affine=True), nn.RMSNorm(6)
            for buffer in self.buffers():
                if buffer.is_floating_point():
                    buffer.uniform_(0.5, 1.5)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (
                self.batch2(x), self.batch1(x.flatten(2)), self.layer(x), self.group(x),
                self.instance(x), self.rms(x),
            )  # fmt: skip

    import tessera as ts

    model, x = Norms().eval(), values(2, 8, 5, 6)
    with torch.no_grad():
        got = ts.from_pytorch(model, example_inputs=(x,), strict=True)(x)
        want = model.double()(x.double())
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=2e-5)
