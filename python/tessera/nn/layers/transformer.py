# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Transformers of encoder and decoder layers, over the layers of `ts.nn`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.transformer import _detect_is_causal_mask

from tessera import ops
from tessera.errors import ArgumentError
from tessera.nn import functional as F
from tessera.nn.layers.base import Layer
from tessera.ops._dispatch import Value

#: Torch's functions for activations, and ours.
_ACTIVATIONS = {nn.functional.relu: F.relu, nn.functional.gelu: F.gelu}


class _TransformerLayer(Layer):
    """What encoder and decoder layers share."""

    def _adopt(self, source: nn.Module) -> None:
        super()._adopt(source)
        if not isinstance(source.activation, nn.Module):
            given: Any = source.activation
            self.activation = _ACTIVATIONS.get(given, given)

    def _attend(
        self, attention: Any, query: Value, memory: Value, mask: Any, padding: Any, causal: bool
    ) -> Value:
        causal = causal and mask is not None
        return attention(
            query, memory, memory, attn_mask=mask, key_padding_mask=padding, is_causal=causal,
            need_weights=False,
        )[0]  # fmt: skip

    def _widen(self, x: Value, dropout: Any) -> Value:
        """The network of two linear layers."""
        hidden = self.dropout(self.activation(self.linear1(x)))
        return dropout(self.linear2(hidden))


class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention and a network of two linear layers, with norms before or behind them."""

    counterpart = nn.TransformerEncoderLayer

    def forward(
        self,
        src: Value,
        src_mask: Value | None = None,
        src_key_padding_mask: Value | None = None,
        is_causal: bool = False,
    ) -> Value:
        """One layer over `src`; masks are those of MultiheadAttention."""

        def attended(x: Value) -> Value:
            found = self._attend(self.self_attn, x, x, src_mask, src_key_padding_mask, is_causal)
            return self.dropout1(found)

        if self.norm_first:
            x = ops.add(src, attended(self.norm1(src)))
            return ops.add(x, self._widen(self.norm2(x), self.dropout2))
        x = self.norm1(ops.add(src, attended(src)))
        return self.norm2(ops.add(x, self._widen(x, self.dropout2)))


class TransformerDecoderLayer(_TransformerLayer):
    """As TransformerEncoderLayer, with attention to what an encoder gave in between."""

    counterpart = nn.TransformerDecoderLayer

    def forward(
        self,
        tgt: Value,
        memory: Value,
        tgt_mask: Value | None = None,
        memory_mask: Value | None = None,
        tgt_key_padding_mask: Value | None = None,
        memory_key_padding_mask: Value | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Value:
        """One layer over `tgt`; masks are those of MultiheadAttention."""

        def to_itself(x: Value) -> Value:
            found = self._attend(
                self.self_attn, x, x, tgt_mask, tgt_key_padding_mask, tgt_is_causal
            )
            return self.dropout1(found)

        def to_memory(x: Value) -> Value:
            found = self._attend(
                self.multihead_attn, x, memory, memory_mask, memory_key_padding_mask,
                memory_is_causal,
            )  # fmt: skip
            return self.dropout2(found)

        def widened(x: Value) -> Value:
            return self._widen(x, self.dropout3)

        x = tgt
        for part, norm in (
            (to_itself, self.norm1), (to_memory, self.norm2), (widened, self.norm3)
        ):  # fmt: skip
            x = ops.add(x, part(norm(x))) if self.norm_first else norm(ops.add(x, part(x)))
        return x


class TransformerEncoder(Layer):
    """Encoder layers one after the other, and a norm behind them if there is one."""

    counterpart = nn.TransformerEncoder

    def forward(
        self,
        src: Value,
        mask: Value | None = None,
        src_key_padding_mask: Value | None = None,
        is_causal: bool | None = None,
    ) -> Value:
        """All layers over `src`. `is_causal` is found out from the mask when it is None and can be
        seen."""
        causal = _is_causal(mask, is_causal, src, self.layers[0])
        for layer in self.layers:
            src = layer(
                src, src_mask=mask, is_causal=causal, src_key_padding_mask=src_key_padding_mask
            )
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Layer):
    """Decoder layers one after the other, and a norm behind them if there is one."""

    counterpart = nn.TransformerDecoder

    def forward(
        self,
        tgt: Value,
        memory: Value,
        tgt_mask: Value | None = None,
        memory_mask: Value | None = None,
        tgt_key_padding_mask: Value | None = None,
        memory_key_padding_mask: Value | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Value:
        """All layers over `tgt`."""
        causal = _is_causal(tgt_mask, tgt_is_causal, tgt, self.layers[0])
        for layer in self.layers:
            tgt = layer(
                tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask,
                memory_key_padding_mask, tgt_is_causal=causal, memory_is_causal=memory_is_causal,
            )  # fmt: skip
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Layer):
    """An encoder, and a decoder that attends to what it gives."""

    counterpart = nn.Transformer
    generate_square_subsequent_mask = staticmethod(nn.Transformer.generate_square_subsequent_mask)

    def forward(
        self,
        src: Value,
        tgt: Value,
        src_mask: Value | None = None,
        tgt_mask: Value | None = None,
        memory_mask: Value | None = None,
        src_key_padding_mask: Value | None = None,
        tgt_key_padding_mask: Value | None = None,
        memory_key_padding_mask: Value | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Value:
        """The decoder over `tgt`, with what the encoder makes of `src`."""
        batch = 0 if self.batch_first else 1
        if len(src.shape) == 3 and src.shape[batch] != tgt.shape[batch]:
            raise ArgumentError("Transformer: the batch number of src and tgt must be equal")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ArgumentError(
                "Transformer: the feature number of src and tgt must be equal to d_model"
            )
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal,
        )  # fmt: skip


def _is_causal(mask: Any, given: bool | None, x: Value, layer: Any) -> bool:
    """Whether the mask is the causal one: said, or seen where it has data."""
    if given is not None or not isinstance(mask, torch.Tensor):
        return bool(given)
    batched = len(x.shape) == 3
    steps = x.shape[1 if batched and layer.self_attn.batch_first else 0]
    return bool(_detect_is_causal_mask(mask, None, steps))
