# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Arguments in forms the example did not have: other orders of keys, shared memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tessera as ts
from tessera.errors import ArgumentError, InputMismatchError


class FromBatch(nn.Module):
    def forward(self, batch, *, scale=2.0):
        return {"y": batch["x"] * scale - batch["more"][0], "z": batch["more"][1]}


def test_keys_of_dictionaries_may_come_in_any_order():
    model, more = FromBatch(), (torch.randn(3), torch.randn(2))
    x = torch.randn(3)
    converted = ts.from_pytorch(model, example_inputs=({"x": x, "more": more},))
    for _ in range(3):
        result = converted({"more": more, "x": x})
        torch.testing.assert_close(result, model({"x": x, "more": more}))
    for wrong in ({"x": x}, {"x": x, "more": more, "z": x}, {"x": x, "more": (x, x, x)}, x, [x]):
        with pytest.raises(InputMismatchError, match="compiled for"):
            converted(wrong)


class Writing(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(4))

    def forward(self, x, y):
        x.add_(1)
        self.total.add_(y)
        return y * 2


def test_memory_that_is_written_and_read_is_refused():
    converted = ts.from_pytorch(Writing(), example_inputs=(torch.randn(4), torch.randn(4)))
    memory = torch.randn(9)
    x = memory[:4]
    for y in (x, memory[3:7], memory[:1].expand(4)):
        with pytest.raises(ArgumentError, match=r"'[xy]' of Writing shares memory with"):
            converted(x, y)
    with pytest.raises(ArgumentError, match="'y' of Writing shares memory with a buffer"):
        converted(x, converted.total)
    wanted = x + 1
    torch.testing.assert_close(converted(x, memory[4:8]), memory[4:8] * 2)
    torch.testing.assert_close(x, wanted)


def test_zeros_of_either_sign_and_nan_are_values_of_their_own():
    class Quotient(nn.Module):
        def forward(self, x, divisor, options):
            return x / divisor + options["shift"]

    x = torch.ones(2)
    wrapped, jitted = ts.compat.wrap(Quotient()), ts.jit(lambda x, divisor: x / divisor)
    for _ in range(2):
        for divisor in (0.0, -0.0, 2.0):
            assert torch.equal(jitted(x, divisor), x / divisor)
            for shift in (0.0, -0.0):
                got = wrapped(x, divisor, {"shift": shift})
                assert torch.equal(got, x / divisor + shift)
        assert wrapped(x, float("nan"), {"shift": 0}).isnan().all()
    assert wrapped.programs == 7
    static = ts.from_pytorch(Quotient(), (x, 0.0, {"shift": 0}))
    with pytest.raises(ValueError, match=r"compiled for the value 0\.0, got -0\.0"):
        static(x, -0.0, {"shift": 0})
    assert (
        ts.from_pytorch(Quotient(), (x, float("nan"), {"shift": 0}))(x, float("nan"), {"shift": 0})
        .isnan()
        .all()
    )


def test_arrays_are_told_apart_by_all_their_elements():
    np = pytest.importorskip("numpy")

    class Weighted(nn.Module):
        def forward(self, x, weights):
            return x * torch.from_numpy(weights)

    wrapped = ts.compat.wrap(Weighted())
    x, weights = torch.ones(2000), np.ones(2000, dtype=np.float32)
    for value in (1, 7, 9, 7):
        weights[1000] = value
        assert wrapped(x, weights).sum() == 1999 + value
    assert wrapped.programs == 3
    static = ts.from_pytorch(Weighted(), (x, weights))
    assert static(x, weights.copy()).sum() == 2006
    weights[1000] = 8  # of the very array
    with pytest.raises(InputMismatchError, match="weights"):
        static(x, weights)
