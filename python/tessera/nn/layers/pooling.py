# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Pooling layers."""

from __future__ import annotations

from torch import nn

from tessera import ops
from tessera.nn.layers.base import Layer
from tessera.nn.layers.composite import CompositeLayer
from tessera.ops._dispatch import Value


class MaxPool1d(CompositeLayer):
    """The largest element of each window of [N, C, L] or [C, L]; with return_indices its place."""

    counterpart = nn.MaxPool1d


class MaxPool2d(CompositeLayer):
    """As MaxPool1d, of [N, C, H, W] or [C, H, W]."""

    counterpart = nn.MaxPool2d


class MaxPool3d(CompositeLayer):
    """As MaxPool1d, of [N, C, D, H, W] or [C, D, H, W]."""

    counterpart = nn.MaxPool3d


class AdaptiveMaxPool1d(CompositeLayer):
    """The largest elements of windows chosen so that so many of them come out."""

    counterpart = nn.AdaptiveMaxPool1d


class AdaptiveMaxPool2d(CompositeLayer):
    """As AdaptiveMaxPool1d, of [N, C, H, W] or [C, H, W]."""

    counterpart = nn.AdaptiveMaxPool2d


class AdaptiveMaxPool3d(CompositeLayer):
    """As AdaptiveMaxPool1d, of [N, C, D, H, W] or [C, D, H, W]."""

    counterpart = nn.AdaptiveMaxPool3d


class MaxUnpool1d(CompositeLayer):
    """What MaxPool1d took, back in the places it gave; zero elsewhere."""

    counterpart = nn.MaxUnpool1d


class MaxUnpool2d(CompositeLayer):
    """As MaxUnpool1d, of [N, C, H, W] or [C, H, W]."""

    counterpart = nn.MaxUnpool2d


class MaxUnpool3d(CompositeLayer):
    """As MaxUnpool1d, of [N, C, D, H, W] or [C, D, H, W]."""

    counterpart = nn.MaxUnpool3d


class LPPool1d(CompositeLayer):
    """The norm of each window, of the power norm_type."""

    counterpart = nn.LPPool1d


class LPPool2d(CompositeLayer):
    """As LPPool1d, of [N, C, H, W] or [C, H, W]."""

    counterpart = nn.LPPool2d


class LPPool3d(CompositeLayer):
    """As LPPool1d, of [N, C, D, H, W] or [C, D, H, W]."""

    counterpart = nn.LPPool3d


class AvgPool1d(Layer):
    """The mean of each window of [N, C, L] or [C, L]."""

    counterpart = nn.AvgPool1d

    def forward(self, input: Value) -> Value:
        return ops.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip


class _AvgPool(Layer):
    function: str

    def forward(self, input: Value) -> Value:
        return getattr(ops, type(self).function)(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip


class AvgPool2d(_AvgPool):
    """As AvgPool1d, of [N, C, H, W] or [C, H, W]."""

    counterpart = nn.AvgPool2d
    function = "avg_pool2d"


class AvgPool3d(_AvgPool):
    """As AvgPool1d, of [N, C, D, H, W] or [C, D, H, W]."""

    counterpart = nn.AvgPool3d
    function = "avg_pool3d"


class _AdaptiveAvgPool(Layer):
    function: str
    dims: int

    def forward(self, input: Value) -> Value:
        dims = type(self).dims
        given = self.output_size
        wanted = [given] * dims if isinstance(given, int) or given is None else list(given)
        # None keeps a size.
        sizes = [
            own if size is None else size
            for size, own in zip(wanted, tuple(input.shape)[-dims:], strict=True)
        ]
        return getattr(ops, type(self).function)(input, sizes)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means over windows chosen so that so many of them come out."""

    counterpart = nn.AdaptiveAvgPool1d
    function, dims = "adaptive_avg_pool1d", 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """As AdaptiveAvgPool1d, of [N, C, H, W] or [C, H, W]."""

    counterpart = nn.AdaptiveAvgPool2d
    function, dims = "adaptive_avg_pool2d", 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """As AdaptiveAvgPool1d, of [N, C, D, H, W] or [C, D, H, W]."""

    counterpart = nn.AdaptiveAvgPool3d
    function, dims = "adaptive_avg_pool3d", 3
