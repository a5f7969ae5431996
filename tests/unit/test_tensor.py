# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The extension's Tensor as an object: its properties and its elements."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tessera import _core


def make(data, dtype=None):
    return _core.from_dlpack(torch.tensor(data, dtype=dtype))


def test_properties() -> None:
    t = make([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert t.shape == (2, 3)
    assert t.strides == (3, 1)
    assert t.ndim == t.dim() == 2
    assert t.numel() == 6
    assert t.itemsize == 4
    assert t.nbytes == 24
    assert t.size() == (2, 3)
    assert t.size(1) == t.size(-1) == 3
    assert str(t.device) == "cpu"
    assert t.is_contiguous()
    assert not t.readonly
    assert len(t) == 2
    assert "(2, 3)" in repr(t) or "1." in repr(t)
    with pytest.raises(IndexError, match="dimension 2 is out of range"):
        t.size(2)


def test_scalars() -> None:
    t = make(2.5)
    assert t.shape == ()
    assert t.item() == 2.5
    assert float(t) == 2.5
    assert int(t) == 2
    assert t.tolist() == 2.5
    assert bool(t)
    assert not make([[0]])
    with pytest.raises(TypeError, match="without dimensions"):
        len(t)
    with pytest.raises(TypeError, match="integers can be an index"):
        range(5)[t]
    assert [10, 20, 30][make(1)] == 20


def test_only_one_element_is_a_number() -> None:
    for data in ([1.0, 2.0], []):
        t = make(data)
        for convert in (bool, float, int, _core.Tensor.item):
            with pytest.raises(ValueError, match="not one number"):
                convert(t)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (torch.bool, [True, False]),
        (torch.uint8, [0, 255]),
        (torch.int8, [-128, 127]),
        (torch.int16, [-32768, 32767]),
        (torch.int32, [-(2**31), 2**31 - 1]),
        (torch.int64, [-(2**63), 2**63 - 1]),
        (torch.float32, [1.5, -0.0, math.inf, 1e-45]),
        (torch.float64, [1e308, 5e-324, -math.inf]),
        (torch.bfloat16, [1.0, -2.5, math.inf, 1e-38]),
        (torch.float16, [1.0, -2.5, 65504.0, math.inf, 6e-8, 6.1e-5, -0.0]),
    ],
)
def test_elements(dtype, values) -> None:
    x = torch.tensor(values, dtype=dtype)
    assert _core.from_dlpack(x).tolist() == x.tolist()
    assert [type(v) for v in _core.from_dlpack(x).tolist()] == [type(v) for v in x.tolist()]


def test_nan_elements() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        assert math.isnan(make(math.nan, dtype).item())


def test_every_half_has_its_value() -> None:
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    for dtype in (torch.float16, torch.bfloat16):
        x = bits.view(dtype)
        expected = x.to(torch.float64).numpy()
        assert np.array_equal(np.array(_core.from_dlpack(x).tolist()), expected, equal_nan=True)


def test_bfloat16_is_unknown_to_numpy() -> None:
    with pytest.raises(TypeError, match="NumPy has no bfloat16"):
        make([1.0], torch.bfloat16).numpy()


def test_contiguous() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    t = _core.from_dlpack(x)
    assert t.contiguous().data_ptr() == t.data_ptr()
    s = _core.from_dlpack(x.t())
    assert not s.is_contiguous()
    assert s.contiguous().is_contiguous()
    assert s.contiguous().tolist() == x.t().tolist()


def test_dtypes() -> None:
    assert _core.dtype("torch.float32") == _core.DType.float32
    assert _core.DType.bfloat16.itemsize == 2
    assert _core.dtype(_core.DType.int8) == _core.DType.int8
    with pytest.raises(ValueError, match="unknown dtype 'complex64'; supported are bool, uint8"):
        _core.dtype("complex64")


def test_storage_statistics() -> None:
    _core.trim_storage_cache()
    assert _core.storage_stats()["cached_bytes"] == 0
    _core.from_dlpack(torch.zeros(64, 64).t()).contiguous()
    stats = _core.storage_stats()
    assert stats["cached_blocks"] >= 1
    assert stats["cached_bytes"] >= 64 * 64 * 4
