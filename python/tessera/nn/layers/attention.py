# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Multi-head attention."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from tessera import ops
from tessera.errors import ArgumentError, ArgumentTypeError
from tessera.nn import functional as F
from tessera.nn.layers.base import Layer
from tessera.ops._dispatch import Value

Triple = tuple[Value, Value, Value]


class MultiheadAttention(Layer):
    """Attention of several heads, with the projections before and behind it.

    query is [L, N, E], key [S, N, kdim], value [S, N, vdim]; with `batch_first` N comes first,
    and without a batch it is left out. Gives (output, weights); the weights are None unless
    `need_weights`.
    """

    counterpart = nn.MultiheadAttention

    def _adopt(self, source: nn.Module) -> None:
        super()._adopt(source)
        #: key and value are as wide as the query, and one weight projects all three
        self.packed = bool(source._qkv_same_embed_dim)

    def forward(
        self,
        query: Value,
        key: Value,
        value: Value,
        key_padding_mask: Value | None = None,
        need_weights: bool = True,
        attn_mask: Value | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Value, Value | None]:
        """Attention of `query` to `key` and `value`.

        Bool masks say what is left out, float masks are added: `key_padding_mask` is [N, S],
        `attn_mask` [L, S] or [N * num_heads, L, S]. `is_causal` says that attn_mask is the
        causal one. `average_attn_weights` gives weights [N, L, S] instead of
        [N, num_heads, L, S]. Raises ArgumentError for shapes that do not fit.
        """
        batched = self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise ArgumentError(
                "MultiheadAttention: is_causal=True says what attn_mask is, and there is none",
                remedy="pass the causal attn_mask as well",
            )
        q, k, v = self._projected(query, key, value, batched)
        hint = is_causal and key_padding_mask is None and not need_weights
        masks = [] if hint or attn_mask is None else [self._mask(attn_mask, q, k)]
        if key_padding_mask is not None:
            masks.append(self._padding(key_padding_mask, q, k))
        k, v, added = self._extended(k, v)
        mask = _merged(masks, added, q.dtype)
        q, k, v = (self._heads(item) for item in (q, k, v))
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights or dropout:
            weights = self._weights(q, k, mask, hint)
            if dropout:
                weights = F.dropout(weights, dropout)
            result = ops.matmul(weights, v)
        else:
            result = ops.scaled_dot_product_attention(q, k, v, mask, is_causal=hint)
        if not need_weights:
            weights = None
        elif average_attn_weights:
            weights = ops.mean(weights, 1)
        return self._joined(result, weights, batched)

    def _check(self, query: Value, key: Value, value: Value) -> bool:
        """Whether there is a batch."""
        ranks = [len(item.shape) for item in (query, key, value)]
        if ranks not in ([2, 2, 2], [3, 3, 3]):
            raise ArgumentError(
                f"MultiheadAttention: query, key and value must be all 2-d or all 3-d, got shapes "
                f"{', '.join(str(tuple(item.shape)) for item in (query, key, value))}"
            )
        for name, item, width in (
            ("query", query, self.embed_dim),
            ("key", key, self.kdim),
            ("value", value, self.vdim),
        ):
            if item.shape[-1] != width:
                raise ArgumentError(
                    f"MultiheadAttention: {name} must have {width} features, got shape "
                    f"{tuple(item.shape)}"
                )
        return ranks[0] == 3

    # --- projections ----------------------------------------------------------------------

    def _projected(self, query: Value, key: Value, value: Value, batched: bool) -> Triple:
        """The three as [N, L, E]."""
        same, keys = query is key, key is value

        def arranged(item: Value) -> Value:
            if not batched:
                return ops.unsqueeze(item, 0)
            return item if self.batch_first else ops.transpose(item, 0, 1)

        q = arranged(query)
        k = q if same else arranged(key)
        v = k if keys else arranged(value)
        width, bias = self.embed_dim, self.in_proj_bias
        if self.packed and same and keys:
            parts = ops.split(F.linear(q, self.in_proj_weight, bias), width, -1)
            return parts[0], parts[1], parts[2]
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases: Any = (None, None, None) if bias is None else ops.split(bias, width)
        if self.packed and keys:
            rows = ops.split(self.in_proj_weight, [width, 2 * width])
            both = None if bias is None else ops.slice(bias, 0, width, 3 * width)
            k, v = ops.split(F.linear(k, rows[1], both), width, -1)
            return F.linear(q, rows[0], biases[0]), k, v
        if self.packed:
            weights = tuple(ops.split(self.in_proj_weight, width))
        q, k, v = (F.linear(*item) for item in zip((q, k, v), weights, biases, strict=True))
        return q, k, v

    def _extended(self, k: Value, v: Value) -> tuple[Value, Value, int]:
        """Keys and values with those the layer adds, and how many they are."""
        added = 0
        batch = k.shape[0]
        if self.bias_k is not None:
            shape = (batch, 1, self.embed_dim)
            k = ops.cat([k, ops.expand(self.bias_k, *shape)], 1)
            v = ops.cat([v, ops.expand(self.bias_v, *shape)], 1)
            added += 1
        if self.add_zero_attn:
            k, v = (ops.pad(item, (0, 0, 0, 1)) for item in (k, v))
            added += 1
        return k, v, added

    def _heads(self, item: Value) -> Value:
        """[N, L, E] as [N, heads, L, E / heads]."""
        batch, length, _ = item.shape
        split = ops.reshape(item, batch, length, self.num_heads, self.head_dim)
        return ops.transpose(split, 1, 2)

    # --- masks ----------------------------------------------------------------------------

    def _mask(self, mask: Value, q: Value, k: Value) -> Value:
        """attn_mask as what broadcasts to [N, heads, L, S]."""
        batch, rows, columns = q.shape[0], q.shape[1], k.shape[1]
        shape = tuple(mask.shape)
        _check_mask("attn_mask", mask)
        if shape == (rows, columns):
            return mask
        if shape == (batch * self.num_heads, rows, columns):
            return ops.reshape(mask, batch, self.num_heads, rows, columns)
        raise ArgumentError(
            f"MultiheadAttention: attn_mask must have shape {(rows, columns)} or "
            f"{(batch * self.num_heads, rows, columns)}, got {shape}"
        )

    def _padding(self, mask: Value, q: Value, k: Value) -> Value:
        """key_padding_mask likewise."""
        batch, columns = q.shape[0], k.shape[1]
        shape = tuple(mask.shape)
        _check_mask("key_padding_mask", mask)
        if shape not in ((batch, columns), (columns,)):
            raise ArgumentError(
                f"MultiheadAttention: key_padding_mask must have shape {(batch, columns)}, got "
                f"{shape}"
            )
        return ops.reshape(mask, batch, 1, 1, columns)

    # --- attention ------------------------------------------------------------------------

    def _weights(self, q: Value, k: Value, mask: Value | None, causal: bool) -> Value:
        """softmax(q @ k.T / sqrt(width) + mask)."""
        scores = ops.matmul(ops.mul(q, 1 / math.sqrt(self.head_dim)), ops.transpose(k, -2, -1))
        if causal:
            allowed = ops.tril(ops.ones(*tuple(scores.shape)[-2:], dtype=torch.bool))
            scores = ops.masked_fill(scores, ops.logical_not(allowed), -math.inf)
        if mask is not None:
            scores = (
                ops.masked_fill(scores, ops.logical_not(mask), -math.inf)
                if mask.dtype == torch.bool
                else ops.add(scores, mask)
            )
        return ops.softmax(scores, -1)

    def _joined(
        self, result: Value, weights: Value | None, batched: bool
    ) -> tuple[Value, Value | None]:
        """The heads side by side and projected, in the arrangement of the query."""
        batch, _, length, _ = result.shape
        joined = ops.reshape(ops.transpose(result, 1, 2), batch, length, self.embed_dim)
        output = self.out_proj(joined)
        if not batched:
            squeezed = None if weights is None else ops.squeeze(weights, 0)
            return ops.squeeze(output, 0), squeezed
        return (output if self.batch_first else ops.transpose(output, 0, 1)), weights


def _check_mask(name: str, mask: Value) -> None:
    if mask.dtype != torch.bool and not mask.dtype.is_floating_point:
        raise ArgumentTypeError(
            f"MultiheadAttention: {name} must be of a float dtype or bool, not {mask.dtype}"
        )


def _merged(masks: list[Value], added: int, dtype: torch.dtype) -> Value | None:
    """One mask: bool (what takes part) where all are, else what is added to the scores."""
    if not masks:
        return None
    if all(mask.dtype == torch.bool for mask in masks):
        merged = masks[0] if len(masks) == 1 else ops.logical_or(*masks)
        merged = ops.logical_not(merged)
        if added:
            merged = ops.pad(merged, (0, added), value=True)
        return merged
    merged = None
    for mask in masks:
        if mask.dtype == torch.bool:
            mask = ops.masked_fill(ops.zeros_like(mask, dtype=dtype), mask, -math.inf)
        merged = mask if merged is None else ops.add(merged, mask)
    if added:
        merged = ops.pad(merged, (0, added))
    return merged
