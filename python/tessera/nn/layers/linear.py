# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear layers and lookups in tables."""

from __future__ import annotations

from typing import Any

from torch import nn

from tessera import ops
from tessera.errors import NotYetSupportedError
from tessera.nn import functional as F
from tessera.nn.layers.base import Layer
from tessera.nn.layers.composite import CompositeLayer
from tessera.ops._dispatch import Value


class Linear(Layer):
    """input @ weight.T + bias: [..., in_features] to [..., out_features]."""

    counterpart = nn.Linear

    def forward(self, input: Value) -> Value:
        return F.linear(input, self.weight, self.bias)


class NonDynamicallyQuantizableLinear(Linear):
    """What torch's attention has at its end: a Linear by another name."""

    counterpart = nn.modules.linear.NonDynamicallyQuantizableLinear


class Identity(Layer):
    """Its argument; whatever it is made with is ignored."""

    counterpart = nn.Identity

    def forward(self, input: Value) -> Value:
        return input


class Embedding(Layer):
    """The rows of a table [num_embeddings, embedding_dim] that integers name.

    Raises NotYetSupportedError for max_norm, which would change the table in each call.
    """

    counterpart = nn.Embedding

    def _adopt(self, source: nn.Module) -> None:
        super()._adopt(source)
        _refuse_max_norm(self)

    def forward(self, input: Value) -> Value:
        return F.embedding(input, self.weight, self.padding_idx)


class EmbeddingBag(CompositeLayer):
    """Sums, means or maxima of rows of a table [num_embeddings, embedding_dim].

    Raises NotYetSupportedError for max_norm, which would change the table in each call.
    """

    counterpart = nn.EmbeddingBag

    def _adopt(self, source: nn.Module) -> None:
        super()._adopt(source)
        _refuse_max_norm(self)


class Bilinear(CompositeLayer):
    """x1 W x2 + bias, of [..., in1_features] and [..., in2_features]."""

    counterpart = nn.Bilinear


class Flatten(Layer):
    """A range of dimensions joined into one."""

    counterpart = nn.Flatten

    def forward(self, input: Value) -> Value:
        return ops.flatten(input, self.start_dim, self.end_dim)


class Unflatten(Layer):
    """One dimension, counted from the front or the back, split into several."""

    counterpart = nn.Unflatten

    def forward(self, input: Value) -> Value:
        if isinstance(self.dim, str):
            raise NotYetSupportedError(
                f"Unflatten: dim={self.dim!r} names a dimension, and tensors here have none",
                remedy="count it: dim=1",
            )
        return ops.unflatten(input, self.dim, _sizes(self.unflattened_size))


def _refuse_max_norm(layer: Layer) -> None:
    if layer.max_norm is not None:
        raise NotYetSupportedError(
            f"{type(layer).__name__}: max_norm={layer.max_norm} would change the table in each "
            "call",
            remedy="leave it out and normalize the rows once, or use ts.compat.wrap(module)",
        )


def _sizes(value: Any) -> list[int]:
    return [int(item) for item in value]
