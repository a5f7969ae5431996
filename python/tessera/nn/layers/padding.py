# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Layers that add a border around the last dimensions."""

from __future__ import annotations

from torch import nn

from tessera import ops
from tessera.nn.layers.base import Layer
from tessera.ops._dispatch import Value


class _Pad(Layer):
    mode = "constant"

    def forward(self, input: Value) -> Value:
        return ops.pad(input, list(self.padding), self.mode, getattr(self, "value", None))


class ConstantPad1d(_Pad):
    """A border of one number, around the last dimension."""

    counterpart = nn.ConstantPad1d


class ConstantPad2d(_Pad):
    """A border of one number, around the last 2 dimensions."""

    counterpart = nn.ConstantPad2d


class ConstantPad3d(_Pad):
    """A border of one number, around the last 3 dimensions."""

    counterpart = nn.ConstantPad3d


class ZeroPad1d(_Pad):
    """A border of zeros, around the last dimension."""

    counterpart = nn.ZeroPad1d


class ZeroPad2d(_Pad):
    """A border of zeros, around the last 2 dimensions."""

    counterpart = nn.ZeroPad2d


class ZeroPad3d(_Pad):
    """A border of zeros, around the last 3 dimensions."""

    counterpart = nn.ZeroPad3d


class ReflectionPad1d(_Pad):
    """A border that mirrors the inside, around the last dimension."""

    counterpart = nn.ReflectionPad1d
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """A border that mirrors the inside, around the last 2 dimensions."""

    counterpart = nn.ReflectionPad2d
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """A border that mirrors the inside, around the last 3 dimensions."""

    counterpart = nn.ReflectionPad3d
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """A border that repeats the edge, around the last dimension."""

    counterpart = nn.ReplicationPad1d
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """A border that repeats the edge, around the last 2 dimensions."""

    counterpart = nn.ReplicationPad2d
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """A border that repeats the edge, around the last 3 dimensions."""

    counterpart = nn.ReplicationPad3d
    mode = "replicate"


class CircularPad1d(_Pad):
    """A border that goes on at the other end, around the last dimension."""

    counterpart = nn.CircularPad1d
    mode = "circular"


class CircularPad2d(_Pad):
    """A border that goes on at the other end, around the last 2 dimensions."""

    counterpart = nn.CircularPad2d
    mode = "circular"


class CircularPad3d(_Pad):
    """A border that goes on at the other end, around the last 3 dimensions."""

    counterpart = nn.CircularPad3d
    mode = "circular"
