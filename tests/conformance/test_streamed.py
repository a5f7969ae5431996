# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Results so large that they are written past the caches, whole lines and the others."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from harness import Case, check, values

#: Bytes from which on a result is streamed.
LARGE = 16 << 20


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("columns", [512, 1000])
def test_streamed(dtype: torch.dtype, columns: int) -> None:
    rows = LARGE // (columns * dtype.itemsize) + 1
    x, w = values(rows, columns, dtype=dtype), values(columns, dtype=dtype, seed=1)
    loose = {"rtol": 1e-5, "atol": 2e-5} if dtype == torch.float32 else {"rtol": 1.6e-2}
    check([Case("layer", lambda x, w: F.layer_norm(x, [columns], w), [x, w], **loose)])
    check([Case("mul", lambda x, w: x * w, [x, w])])
    check([Case("transpose", lambda x, w: (x + w).t().contiguous(), [x, w])])
    check([Case("concat", lambda x, w: torch.cat([x, (x * w)[:, :7]], dim=1), [x, w])])
