# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The built-in lowerings from ATen to Graph IR, one family of operators a file.

Importing this package registers all of them.
"""

from tessera.lowering.aten import (
    attention,
    contraction,
    convolution,
    creation,
    distance,
    elementwise_activation,
    elementwise_binary,
    elementwise_select,
    elementwise_unary,
    indexing,
    loss,
    movement,
    movement_copy,
    movement_window,
    normalization,
    random,
    random_dropout,
    recurrent,
    reduction,
    reduction_scan,
    reduction_window,
    reduction_window_backward,
    resample,
    resample_grid,
    softmax,
    sorting,
)

__all__ = [
    "attention",
    "contraction",
    "convolution",
    "creation",
    "distance",
    "elementwise_activation",
    "elementwise_binary",
    "elementwise_select",
    "elementwise_unary",
    "indexing",
    "loss",
    "movement",
    "movement_copy",
    "movement_window",
    "normalization",
    "random",
    "random_dropout",
    "recurrent",
    "reduction",
    "reduction_scan",
    "reduction_window",
    "reduction_window_backward",
    "resample",
    "resample_grid",
    "softmax",
    "sorting",
]
