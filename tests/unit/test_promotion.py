# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Type promotion is torch's."""

from __future__ import annotations

import itertools

import pytest
import torch

from tessera.lowering.dtypes import DTYPES, dtype_from_name, dtype_name, result_type

NUMBERS = [True, 3, 2.5]


def _operands():
    tensors = [
        torch.empty((2,) * rank, dtype=dtype) for dtype in DTYPES.values() for rank in (0, 1)
    ]
    return [*tensors, *NUMBERS]


def _spec(operand):
    return (operand.dtype, operand.ndim) if isinstance(operand, torch.Tensor) else operand


def test_pairs():
    for left, right in itertools.product(_operands(), repeat=2):
        if isinstance(left, torch.Tensor) or isinstance(right, torch.Tensor):
            want = torch.result_type(left, right)
            assert result_type([_spec(left), _spec(right)]) == want, (left, right)


def test_triples_as_where_and_lerp_take_them():
    dims = torch.empty(2, dtype=torch.float16)
    zero = torch.empty((), dtype=torch.float64)
    number = 2.5
    assert result_type([(dims.dtype, 1), (zero.dtype, 0), number]) == torch.float16
    assert result_type([(torch.int32, 1), (torch.int64, 0), 2.5]) == torch.float32
    assert result_type([(torch.bool, 1), 2, (torch.uint8, 0)]) == torch.uint8


def test_nothing_has_no_type():
    with pytest.raises(ValueError, match="at least one"):
        result_type([])


@pytest.mark.parametrize("name", DTYPES)
def test_names(name):
    assert dtype_name(dtype_from_name(name)) == name
    assert dtype_from_name(f"torch.{name}") == DTYPES[name]
