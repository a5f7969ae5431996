# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The dtypes of complex numbers and of their parts."""

from __future__ import annotations

import torch

_REAL_OF = {
    torch.complex32: torch.float16,
    torch.complex64: torch.float32,
    torch.complex128: torch.float64,
}
_COMPLEX_OF = {real: dtype for dtype, real in _REAL_OF.items()}


def real_of(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the parts; that of real numbers is its own."""
    return _REAL_OF.get(dtype, dtype)


def complex_of(dtype: torch.dtype) -> torch.dtype:
    """The complex dtype with parts of `dtype`."""
    return _COMPLEX_OF[dtype]
