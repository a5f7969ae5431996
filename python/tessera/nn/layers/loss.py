# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Losses."""

from __future__ import annotations

from torch import nn

from tessera.nn.layers.composite import CompositeLayer


class L1Loss(CompositeLayer):
    """The mean of |input - target|."""

    counterpart = nn.L1Loss


class MSELoss(CompositeLayer):
    """The mean of (input - target)²."""

    counterpart = nn.MSELoss


class SmoothL1Loss(CompositeLayer):
    """Squared below beta, absolute above."""

    counterpart = nn.SmoothL1Loss


class HuberLoss(CompositeLayer):
    """Squared below delta, absolute above."""

    counterpart = nn.HuberLoss


class CrossEntropyLoss(CompositeLayer):
    """Cross entropy of unnormalized scores and classes, or probabilities of classes."""

    counterpart = nn.CrossEntropyLoss


class NLLLoss(CompositeLayer):
    """Minus the log-probability of the right class."""

    counterpart = nn.NLLLoss


class PoissonNLLLoss(CompositeLayer):
    """Minus the log-likelihood of counts."""

    counterpart = nn.PoissonNLLLoss


class GaussianNLLLoss(CompositeLayer):
    """Minus the log-likelihood of numbers with the variances given."""

    counterpart = nn.GaussianNLLLoss


class KLDivLoss(CompositeLayer):
    """The divergence of two distributions, the first one in logarithms."""

    counterpart = nn.KLDivLoss


class BCELoss(CompositeLayer):
    """Cross entropy of probabilities and targets between 0 and 1."""

    counterpart = nn.BCELoss


class BCEWithLogitsLoss(CompositeLayer):
    """As BCELoss, of what a sigmoid makes probabilities."""

    counterpart = nn.BCEWithLogitsLoss


class HingeEmbeddingLoss(CompositeLayer):
    """For distances of pairs that are alike (1) or not (-1)."""

    counterpart = nn.HingeEmbeddingLoss


class MarginRankingLoss(CompositeLayer):
    """For two scores of which the first (1) or the second (-1) should be larger."""

    counterpart = nn.MarginRankingLoss


class SoftMarginLoss(CompositeLayer):
    """log(1 + exp(-target * input))."""

    counterpart = nn.SoftMarginLoss


class MultiMarginLoss(CompositeLayer):
    """The margin between the right class and each other one."""

    counterpart = nn.MultiMarginLoss


class MultiLabelMarginLoss(CompositeLayer):
    """As MultiMarginLoss, with several right classes."""

    counterpart = nn.MultiLabelMarginLoss


class MultiLabelSoftMarginLoss(CompositeLayer):
    """A cross entropy for each label."""

    counterpart = nn.MultiLabelSoftMarginLoss


class CosineEmbeddingLoss(CompositeLayer):
    """For pairs of vectors that should point the same way (1) or not (-1)."""

    counterpart = nn.CosineEmbeddingLoss


class TripletMarginLoss(CompositeLayer):
    """The distance to what is alike against that to what is not."""

    counterpart = nn.TripletMarginLoss


class TripletMarginWithDistanceLoss(CompositeLayer):
    """As TripletMarginLoss, by a distance of one's own."""

    counterpart = nn.TripletMarginWithDistanceLoss


class CTCLoss(CompositeLayer):
    """For sequences of labels without positions; PyTorch computes it."""

    counterpart = nn.CTCLoss
