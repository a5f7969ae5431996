# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Distances of vectors."""

from __future__ import annotations

from torch import nn

from tessera.nn.layers.composite import CompositeLayer


class CosineSimilarity(CompositeLayer):
    """The cosine of the angle between vectors along one dimension."""

    counterpart = nn.CosineSimilarity


class PairwiseDistance(CompositeLayer):
    """The norm of the difference of vectors."""

    counterpart = nn.PairwiseDistance
