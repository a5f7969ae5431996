# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``precision=``: what products, convolutions and attention of float32 are computed in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tessera import _core
from tessera.errors import ArgumentError

#: What ``precision`` may be; None and "fp32" leave every value in the type the model has it in.
PRECISIONS = (None, "fp32", "bf16")


def checked_precision(name: str, precision: Any) -> str | None:
    """`precision`, where it is one; ArgumentError for `name` where it is none."""
    if isinstance(precision, (str, type(None))) and precision in PRECISIONS:
        return precision
    raise ArgumentError(
        f'{name}: precision must be "bf16", "fp32" or None, not {precision!r}',
        remedy='"bf16" rounds the operands of products, convolutions and attention to bfloat16; '
        '"fp32" does without fast algorithms for convolutions; None leaves the model as it is: '
        "for other dtypes, convert model.to(dtype)",
    )


def graph_builder(precision: str | None) -> Callable[[], Any]:
    """What makes builders of graphs in this precision."""
    return functools.partial(_core.GraphBuilder, precision or "")
