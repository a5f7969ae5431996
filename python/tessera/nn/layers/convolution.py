# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolution layers and the rearrangement of pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from tessera import ops
from tessera.nn import convolution as C
from tessera.nn.layers.base import Layer
from tessera.ops._dispatch import Value


class _Convolution(Layer):
    function: Callable[..., Value]

    def _adopt(self, source: nn.Module) -> None:
        super()._adopt(source)
        #: what pad() takes, where the border is not of zeros
        self.border = list(source._reversed_padding_repeated_twice)  # type: ignore[arg-type]

    def forward(self, input: Value) -> Value:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = ops.pad(input, self.border, self.padding_mode)
            padding = 0
        return type(self).function(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv1d(_Convolution):
    """Convolution of [N, C, L] (or [C, L]) by a kernel [O, C / groups, K]."""

    counterpart = nn.Conv1d
    function = staticmethod(C.conv1d)


class Conv2d(_Convolution):
    """Convolution of [N, C, H, W] (or [C, H, W]) by a kernel [O, C / groups, KH, KW]."""

    counterpart = nn.Conv2d
    function = staticmethod(C.conv2d)


class Conv3d(_Convolution):
    """Convolution of [N, C, D, H, W] (or [C, D, H, W]) by a kernel [O, C / groups, KD, KH, KW]."""

    counterpart = nn.Conv3d
    function = staticmethod(C.conv3d)


class _Transposed(Layer):
    function: Callable[..., Value]

    def forward(self, input: Value, output_size: Sequence[int] | None = None) -> Value:
        """With `output_size`, the one of several sizes that the result could have."""
        dims = len(self.kernel_size)
        counterpart: Any = self.counterpart
        padding = counterpart._output_padding(
            self, input, output_size, self.stride, self.padding, self.kernel_size, dims,
            self.dilation,
        )  # fmt: skip
        return type(self).function(
            input, self.weight, self.bias, self.stride, self.padding, padding, self.groups,
            self.dilation,
        )  # fmt: skip


class ConvTranspose1d(_Transposed):
    """The transpose of a convolution, of [N, C, L] (or [C, L]) by [C, O / groups, K]."""

    counterpart = nn.ConvTranspose1d
    function = staticmethod(C.conv_transpose1d)


class ConvTranspose2d(_Transposed):
    """As ConvTranspose1d, of [N, C, H, W] (or [C, H, W])."""

    counterpart = nn.ConvTranspose2d
    function = staticmethod(C.conv_transpose2d)


class ConvTranspose3d(_Transposed):
    """As ConvTranspose1d, of [N, C, D, H, W] (or [C, D, H, W])."""

    counterpart = nn.ConvTranspose3d
    function = staticmethod(C.conv_transpose3d)


class PixelShuffle(Layer):
    """[..., C r², H, W] to [..., C, H r, W r]."""

    counterpart = nn.PixelShuffle

    def forward(self, input: Value) -> Value:
        return ops.pixel_shuffle(input, self.upscale_factor)


class PixelUnshuffle(Layer):
    """[..., C, H r, W r] to [..., C r², H, W]."""

    counterpart = nn.PixelUnshuffle

    def forward(self, input: Value) -> Value:
        return ops.pixel_unshuffle(input, self.downscale_factor)
