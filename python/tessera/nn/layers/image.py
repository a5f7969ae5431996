# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Layers of images: patches, sizes, neighbouring channels."""

from __future__ import annotations

from torch import nn

from tessera.nn.layers.composite import CompositeLayer


class Fold(CompositeLayer):
    """Columns of patches added up to images."""

    counterpart = nn.Fold


class Unfold(CompositeLayer):
    """The patches of images as columns."""

    counterpart = nn.Unfold


class Upsample(CompositeLayer):
    """Images in another size."""

    counterpart = nn.Upsample


class UpsamplingNearest2d(CompositeLayer):
    """Upsample by the nearest pixel."""

    counterpart = nn.UpsamplingNearest2d


class UpsamplingBilinear2d(CompositeLayer):
    """Upsample by the four pixels around, corners kept in their place."""

    counterpart = nn.UpsamplingBilinear2d


class ChannelShuffle(CompositeLayer):
    """Channels of groups interleaved."""

    counterpart = nn.ChannelShuffle


class LocalResponseNorm(CompositeLayer):
    """Each channel divided by what is around it."""

    counterpart = nn.LocalResponseNorm
