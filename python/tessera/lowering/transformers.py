# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators that Hugging Face's transformers defines beside ATen's.

Rules are looked up by name, so nothing of the library is imported.
"""

from __future__ import annotations

from torch import fx

from tessera.lowering.aten.contraction import grouped_mm
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import register


@register("transformers.grouped_mm_fallback")
def grouped_mm_fallback(node: fx.Node, ctx: LoweringContext) -> GraphValue:
    """The rows of each expert times its matrix: (S, K), (E, K, N), (E,) -> (S, N)."""
    return grouped_mm(ctx, *ctx.get_inputs(node), **ctx.get_kwargs(node))
