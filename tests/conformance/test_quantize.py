# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Quantized and fake-quantized numbers, exactly PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.ao.quantization.fx._decomposed
from harness import Case, check, values
from torch import Tensor

STEPS, ZEROS = torch.tensor([0.1, 0.25, 0.03]), torch.tensor([0, 3, -2], dtype=torch.int32)
STEP, ZERO = torch.tensor([0.07]), torch.tensor([5])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_fake_quantized(dtype: torch.dtype) -> None:
    x = torch.cat([values(3, 40, dtype=dtype, low=-20, high=20), torch.full((3, 1), torch.nan)], 1)
    calls: dict[str, Callable[[Tensor], Any]] = {
        "tensor": lambda x: torch.fake_quantize_per_tensor_affine(x, 0.1, 7, 0, 255),
        "channel": lambda x: torch.fake_quantize_per_channel_affine(x, STEPS, ZEROS, 0, -128, 127),
    }
    if dtype == torch.float32:
        zero = ZERO.int()
        calls["by tensors"] = lambda x: torch.fake_quantize_per_tensor_affine(
            x, STEP, zero, -128, 127
        )
    check([Case(name, call, [x], exact=True) for name, call in calls.items()])


def test_quantized_by_export() -> None:
    q = torch.ops.quantized_decomposed
    x = values(3, 40, low=-20, high=20)
    whole = torch.randint(-128, 128, (3, 40), dtype=torch.int8)
    ends: Any = (-128, 127, torch.int8)
    on_floats: dict[str, Callable[[Tensor], Any]] = {
        "tensor": lambda x: q.quantize_per_tensor(x, 0.1, 7, *ends),
        "half": lambda x: q.quantize_per_tensor(x.half(), 0.1, 7, 0, 200, torch.uint8),
        "by tensors": lambda x: q.quantize_per_tensor.tensor(x, STEP, ZERO, *ends),
        "channel": lambda x: q.quantize_per_channel(x, STEPS, ZEROS, 0, *ends),
    }
    on_integers: dict[str, Callable[[Tensor], Any]] = {
        "tensor back": lambda x: q.dequantize_per_tensor(x, 0.1, 7, *ends),
        "to half": lambda x: q.dequantize_per_tensor(x, 0.1, 7, *ends, out_dtype=torch.float16),
        "by tensors back": lambda x: q.dequantize_per_tensor.tensor(x, STEP, ZERO, *ends),
        "channel back": lambda x: q.dequantize_per_channel(x, STEPS, ZEROS, 0, *ends),
        "channel, no zeros": lambda x: q.dequantize_per_channel(x, STEPS, None, 0, *ends),
    }
    check(
        [Case(name, call, [x], exact=True) for name, call in on_floats.items()]
        + [Case(name, call, [whole], exact=True) for name, call in on_integers.items()]
    )
