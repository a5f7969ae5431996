# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Normalization layers."""

from __future__ import annotations

from typing import Any

from torch import nn

from tessera import ops
from tessera.errors import ArgumentError
from tessera.nn import functional as F
from tessera.nn.layers.base import Layer
from tessera.ops._dispatch import Value


class LayerNorm(Layer):
    """(x - mean) / sqrt(var + eps) * weight + bias over the trailing dimensions."""

    counterpart = nn.LayerNorm

    def forward(self, input: Value) -> Value:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(Layer):
    """x / sqrt(mean(x²) + eps) * weight over the trailing dimensions."""

    counterpart = nn.RMSNorm

    def forward(self, input: Value) -> Value:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Layer):
    """Normalization over groups of the channels of [N, C, ...]."""

    counterpart = nn.GroupNorm

    def forward(self, input: Value) -> Value:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class _Tracking(Layer):
    """Norms that may keep running statistics."""

    #: ranks of inputs
    ranks: tuple[int, ...]

    def _check(self, input: Value) -> None:
        rank = len(input.shape)
        if rank not in self.ranks:
            wanted = " or ".join(f"{item}-d" for item in self.ranks)
            raise ArgumentError(
                f"{type(self).__name__}: expected a {wanted} input, got one of shape "
                f"{tuple(input.shape)}"
            )

    def _wide(self, input: Value) -> Value:
        """The input in the type that statistics are kept in."""
        return ops.to(input, self.running_mean.dtype)

    def _track(self, mean: Value, variance: Value, count: int, factor: Any) -> None:
        """Moves the running statistics by `factor` towards those of a batch, whose variance is the
        biased one over `count` values."""
        unbiased = ops.mul(variance, count / max(count - 1, 1))
        for name, now in (("running_mean", mean), ("running_var", unbiased)):
            before = getattr(self, name)
            change = ops.mul(ops.sub(ops.to(now, before.dtype), before), factor)
            self.update_buffer(name, ops.add(before, change))


class _BatchNorm(_Tracking):
    def forward(self, input: Value) -> Value:
        self._check(input)
        tracks = self.running_mean is not None
        if not (self.training or not tracks):
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, False,
                0.0, self.eps,
            )  # fmt: skip
        dims = [dim for dim in range(len(input.shape)) if dim != 1]
        count = 1
        for dim in dims:
            count *= input.shape[dim]
        if count <= 1:
            raise ArgumentError(
                f"{type(self).__name__}: expected more than one value a channel in training, got "
                f"shape {tuple(input.shape)}",
                remedy="call .eval(), or pass a larger batch",
            )
        if self.training and tracks:
            variance, mean = ops.var_mean(self._wide(input), dims, correction=0)
            self._track(mean, variance, count, self._factor())
        return F.batch_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)

    def _factor(self) -> Any:
        """How much this batch counts."""
        batches = ops.add(self.num_batches_tracked, 1)
        self.update_buffer("num_batches_tracked", batches)
        if self.momentum is not None:
            return self.momentum
        # The plain average of all batches.
        return ops.reciprocal(ops.to(batches, self.running_mean.dtype))


class BatchNorm1d(_BatchNorm):
    """Normalization of each channel of [N, C] or [N, C, L]: by the batch in training, which moves
    the running statistics, and by those otherwise."""

    counterpart = nn.BatchNorm1d
    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """As BatchNorm1d, of [N, C, H, W]."""

    counterpart = nn.BatchNorm2d
    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """As BatchNorm1d, of [N, C, D, H, W]."""

    counterpart = nn.BatchNorm3d
    ranks = (5,)


class _InstanceNorm(_Tracking):
    def forward(self, input: Value) -> Value:
        self._check(input)
        if len(input.shape) == self.ranks[0]:  # without a batch
            return ops.squeeze(self._normalized(ops.unsqueeze(input, 0)), 0)
        return self._normalized(input)

    def _normalized(self, input: Value) -> Value:
        tracks = self.running_mean is not None
        if tracks and not self.training:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, False,
                0.0, self.eps,
            )  # fmt: skip
        if tracks:
            spatial = list(range(2, len(input.shape)))
            count = 1
            for dim in spatial:
                count *= input.shape[dim]
            variance, mean = ops.var_mean(self._wide(input), spatial, correction=0)
            factor = 0.0 if self.momentum is None else self.momentum
            self._track(ops.mean(mean, 0), ops.mean(variance, 0), count, factor)
        return F.instance_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)


class InstanceNorm1d(_InstanceNorm):
    """Normalization of each channel of each sample of [N, C, L] or [C, L]."""

    counterpart = nn.InstanceNorm1d
    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """As InstanceNorm1d, of [N, C, H, W] or [C, H, W]."""

    counterpart = nn.InstanceNorm2d
    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """As InstanceNorm1d, of [N, C, D, H, W] or [C, D, H, W]."""

    counterpart = nn.InstanceNorm3d
    ranks = (4, 5)
