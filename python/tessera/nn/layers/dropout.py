# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Dropout layers: in eval mode the identity."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as torch_functional
from torch import nn

from tessera.nn import functional as F
from tessera.nn._fallback import call_or_pytorch
from tessera.nn.layers.base import Layer
from tessera.ops._dispatch import Value


class Dropout(Layer):
    """In training elements are zeroed with probability p, and the others scaled by 1 / (1 - p)."""

    counterpart = nn.Dropout

    def forward(self, input: Value) -> Value:
        return F.dropout(input, self.p, self.training)


class _Special(Layer):
    name: str
    key: str
    function: Callable[..., Value]

    def forward(self, input: Value) -> Value:
        if not self.training or self.p == 0:
            return input
        cls = type(self)
        return call_or_pytorch(cls.name, cls.key, cls.function, input, self.p, True)


class Dropout1d(_Special):
    """Zeroes whole channels of [N, C, L] in training."""

    counterpart = nn.Dropout1d
    name, key = "dropout1d", "feature_dropout.default"
    function = staticmethod(torch_functional.dropout1d)


class Dropout2d(_Special):
    """Zeroes whole channels of [N, C, H, W] in training."""

    counterpart = nn.Dropout2d
    name, key = "dropout2d", "feature_dropout.default"
    function = staticmethod(torch_functional.dropout2d)


class Dropout3d(_Special):
    """Zeroes whole channels of [N, C, D, H, W] in training."""

    counterpart = nn.Dropout3d
    name, key = "dropout3d", "feature_dropout.default"
    function = staticmethod(torch_functional.dropout3d)


class AlphaDropout(_Special):
    """Dropout that keeps mean and variance, for self-normalizing networks."""

    counterpart = nn.AlphaDropout
    name, key = "alpha_dropout", "alpha_dropout.default"
    function = staticmethod(torch_functional.alpha_dropout)


class FeatureAlphaDropout(_Special):
    """AlphaDropout of whole channels."""

    counterpart = nn.FeatureAlphaDropout
    name, key = "feature_alpha_dropout", "feature_alpha_dropout.default"
    function = staticmethod(torch_functional.feature_alpha_dropout)
