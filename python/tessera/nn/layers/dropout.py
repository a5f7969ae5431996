# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Dropout layers: in eval mode the identity."""

from __future__ import annotations

from torch import nn

from tessera.nn import functional as F
from tessera.nn.layers.base import Layer
from tessera.ops._dispatch import Value, call


class Dropout(Layer):
    """In training elements are zeroed with probability p, and the others scaled by 1 / (1 - p)."""

    counterpart = nn.Dropout

    def forward(self, input: Value) -> Value:
        return F.dropout(input, self.p, self.training)


class _Special(Layer):
    key: str
    #: how many dimensions one sample without a batch has, where such a one is understood
    sample: int | None = None

    def forward(self, input: Value) -> Value:
        if not self.training or self.p == 0:
            return input
        if len(input.shape) != self.sample:
            return call(self.key, input, self.p, True)
        batch = call("unsqueeze.default", input, 0)
        return call("squeeze.dim", call(self.key, batch, self.p, True), 0)


class Dropout1d(_Special):
    """Zeroes whole channels of [N, C, L] or [C, L] in training."""

    counterpart = nn.Dropout1d
    key, sample = "feature_dropout.default", 2


class Dropout2d(_Special):
    """Zeroes whole channels of [N, C, H, W] in training."""

    counterpart = nn.Dropout2d
    key = "feature_dropout.default"


class Dropout3d(_Special):
    """Zeroes whole channels of [N, C, D, H, W] or [C, D, H, W] in training."""

    counterpart = nn.Dropout3d
    key, sample = "feature_dropout.default", 4


class AlphaDropout(_Special):
    """Dropout that keeps mean and variance, for self-normalizing networks."""

    counterpart = nn.AlphaDropout
    key = "alpha_dropout.default"


class FeatureAlphaDropout(_Special):
    """AlphaDropout of whole channels."""

    counterpart = nn.FeatureAlphaDropout
    key = "feature_alpha_dropout.default"
