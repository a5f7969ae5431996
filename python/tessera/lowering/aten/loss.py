# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Losses that PyTorch does not take apart in a way that can be compiled.

All others are composites of PyTorch's own (cross entropy, NLL, smooth L1, embedding losses, …).
"""

from __future__ import annotations

import torch

from tessera.lowering.aten.creation import positions
from tessera.lowering.aten.indexing import gather
from tessera.lowering.aten.reduction import reduce
from tessera.lowering.aten.rules import Arith, both, finish, negate, opmath, rule
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

#: at::Reduction
NONE, MEAN, SUM = 0, 1, 2


def reduced(ctx: LoweringContext, value: GraphValue, reduction: int) -> GraphValue:
    """`value`, a loss for each sample, as `reduction` asks for it."""
    if reduction == NONE:
        return value
    a = Arith(ctx, value.dtype)
    total = reduce(ctx, "sum", value, list(range(value.ndim)), False)
    return a.div(total, float(value.numel())) if reduction == MEAN else total


@rule("multilabel_margin_loss_forward")
def multilabel_margin_loss_forward(
    ctx: LoweringContext, self: GraphValue, target: GraphValue, reduction: int
) -> tuple[GraphValue, GraphValue]:
    if reduction == NONE and target.ndim < 2:
        raise Unsupported(
            "PyTorch's capture foretells another shape for the loss of one sample than PyTorch "
            "gives",
            "add a dimension for the batch, or reduce by 'mean' or 'sum'",
            whole=True,
        )
    rows = self.shape[0] if self.ndim == 2 else 1
    classes = self.shape[-1] if self.ndim else 1
    if not self.numel():
        raise Unsupported("a margin loss of nothing is not compiled")
    a, index = Arith(ctx, opmath(self.dtype)), Arith(ctx, torch.int64)
    x = ctx.cast(ctx.reshape(self, (rows, classes)), a.dtype)
    labels = ctx.cast(ctx.reshape(target, (rows, classes)), torch.int64)
    # The labels of a row end at its first -1.
    place = positions(ctx, [1, classes], 1)
    ends = index.select(index.compare("eq", labels, -1), place, classes)
    counted = index.compare("lt", place, reduce(ctx, "min", ends, [1], True))
    labels = index.select(counted, labels, 0)
    same = index.compare(
        "eq", ctx.reshape(labels, (rows, classes, 1)), positions(ctx, [1, 1, classes], 2)
    )
    column = ctx.reshape(counted, (rows, classes, 1))
    is_target = reduce(ctx, "any", both(ctx, same, column), [1], False)
    chosen = ctx.reshape(gather(ctx, x, 1, labels), (rows, classes, 1))
    margin = a.add(a.sub(1.0, chosen), ctx.reshape(x, (rows, 1, classes)))
    others = negate(ctx, ctx.reshape(is_target, (rows, 1, classes)))
    margin = a.select(both(ctx, others, column), a.maximum(margin, 0.0), 0.0)
    loss = a.div(reduce(ctx, "sum", margin, [1, 2], False), float(classes))
    loss = reduced(ctx, loss, reduction)
    marks = ctx.reshape(ctx.cast(is_target, self.dtype), target.shape)
    return finish(ctx, loss, self.dtype), marks
