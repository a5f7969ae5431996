# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Contractions, with torch's names and arguments."""

from __future__ import annotations

from typing import Any

from tessera.ops._dispatch import Value, call

Number = int | float


def matmul(input: Value, other: Value) -> Value:
    """The product of matrices over broadcast batch dimensions; vectors on either side are allowed.

    Also what ``aten.mm`` and ``aten.bmm`` map to. Raises ValueError when the sizes do not fit.
    """
    return call("matmul.default", input, other)


def mm(input: Value, mat2: Value) -> Value:
    """[M, K] times [K, N]."""
    return call("mm.default", input, mat2)


def bmm(input: Value, mat2: Value) -> Value:
    """[B, M, K] times [B, K, N]."""
    return call("bmm.default", input, mat2)


def mv(input: Value, vec: Value) -> Value:
    """[M, K] times [K]."""
    return call("mv.default", input, vec)


def dot(input: Value, tensor: Value) -> Value:
    """The sum of products of two vectors."""
    return call("dot.default", input, tensor)


def outer(input: Value, vec2: Value) -> Value:
    """[M] and [N] to [M, N], the product of every pair."""
    return call("outer.default", input, vec2)


def addmm(input: Value, mat1: Value, mat2: Value, *, beta: Number = 1, alpha: Number = 1) -> Value:
    """beta * input + alpha * (mat1 @ mat2); input is ignored when beta is zero."""
    return call("addmm.default", input, mat1, mat2, beta=beta, alpha=alpha)


def baddbmm(
    input: Value, batch1: Value, batch2: Value, *, beta: Number = 1, alpha: Number = 1
) -> Value:
    """beta * input + alpha * (batch1 @ batch2)."""
    return call("baddbmm.default", input, batch1, batch2, beta=beta, alpha=alpha)


def tensordot(input: Value, other: Value, dims: Any = 2) -> Value:
    """The sum over pairs of dimensions.

    `dims` counts the last ones of input and the first of other, or names them for both.
    """
    return _tensordot(input, other, dims)


def _tensordot(input: Value, other: Value, dims: Any) -> Value:
    if isinstance(dims, int):
        rank = len(getattr(input, "shape", ()))  # call() says what else it may be
        return call(
            "tensordot.default", input, other, list(range(rank - dims, rank)), list(range(dims))
        )
    left, right = ([dim] if isinstance(dim, int) else list(dim) for dim in dims)
    return call("tensordot.default", input, other, left, right)


# --- attention -------------------------------------------------------------------------------


def scaled_dot_product_attention(
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """softmax(query @ key.T * scale + mask) @ value, without writing the scores to memory.

    query is [..., Hq, L, E], key [..., Hk, S, E], value [..., Hk, S, Ev]; a bool mask says what
    takes part, a float mask is added, both broadcast to [..., Hq, L, S]. With `enable_gqa`, Hq is
    a multiple of Hk. Rows with nothing to see are zero. dropout_p zeroes
    weights at random, always: it takes no notice of a mode. As
    ``torch.nn.functional.scaled_dot_product_attention``.
    """
    return call(
        "scaled_dot_product_attention.default",
        query,
        key,
        value,
        attn_mask,
        dropout_p,
        is_causal,
        scale=scale,
        enable_gqa=enable_gqa,
    )


#: The name of the guide.
flash_attention = scaled_dot_product_attention
