# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Scaled-dot-product attention against PyTorch in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from harness import FLOATS, Case, check, values

sdpa = F.scaled_dot_product_attention
aten = torch.ops.aten

LOOSE: dict[torch.dtype, dict[str, float]] = {
    torch.float32: {"rtol": 1e-5, "atol": 2e-5},
    torch.float64: {},
    torch.float16: {"rtol": 4e-3, "atol": 2e-3},
    torch.bfloat16: {"rtol": 2e-2, "atol": 2e-2},
}


def _qkv(
    batch: int, heads: int, length: int, width: int, dtype: torch.dtype = torch.float32,
    keys: int | None = None, groups: int | None = None, out: int | None = None,
) -> list[torch.Tensor]:  # fmt: skip
    keys, groups = keys or length, groups or heads
    return [
        values(batch, heads, length, width, dtype=dtype, seed=1),
        values(batch, groups, keys, width, dtype=dtype, seed=2),
        values(batch, groups, keys, out or width, dtype=dtype, seed=3),
    ]


def _case(name: str, inputs: list[torch.Tensor], *more: torch.Tensor, **options: Any) -> Case:
    dtype = inputs[0].dtype

    def function(q: Any, k: Any, v: Any, *mask: Any) -> Any:
        return sdpa(q, k, v, *mask, **options)

    return Case(name, function, [*inputs, *more], **LOOSE[dtype])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_kinds(dtype: torch.dtype) -> None:
    base = _qkv(2, 4, 33, 16, dtype)
    other = _qkv(2, 4, 17, 16, dtype, keys=29)
    additive = values(17, 29, dtype=dtype, seed=5)
    boolean = values(17, 29, dtype=torch.bool, seed=6)
    boolean[:, 0] = True
    check(
        [
            _case("plain", base),
            _case("causal", base, is_causal=True),
            _case("scale", base, scale=0.3),
            _case("keys longer", other),
            _case("causal, keys longer", other, is_causal=True),
            _case("causal, keys shorter", _qkv(2, 4, 29, 16, dtype, keys=17), is_causal=True),
            _case("additive", other, additive),
            _case("boolean", other, boolean),
            _case("mask a head", other, values(4, 17, 29, dtype=dtype)),
            _case("mask a batch", other, values(2, 1, 17, 29, dtype=dtype)),
            _case("mask a key", other, values(2, 1, 1, 29, dtype=dtype)),
            _case("mask in full", other, values(2, 4, 17, 29, dtype=dtype)),
            _case("wider values", _qkv(2, 4, 9, 16, dtype, out=24)),
            _case("grouped", _qkv(2, 6, 19, 16, dtype, groups=2), enable_gqa=True),
            _case("one group", _qkv(2, 6, 19, 16, dtype, groups=1), enable_gqa=True),
            _case(
                "grouped, masked",
                _qkv(2, 6, 17, 16, dtype, keys=29, groups=3),
                boolean,
                enable_gqa=True,
            ),
        ]
    )


def test_shapes() -> None:
    cases = []
    for length in (1, 2, 31, 64, 65, 130):
        for width in (1, 8, 40, 64):
            cases.append(_case(f"{length} of {width}", _qkv(1, 2, length, width)))
    cases += [
        _case("three dims", [x[0] for x in _qkv(1, 3, 10, 8)]),
        _case("two dims", [x[0, 0] for x in _qkv(1, 1, 10, 8)]),
        _case("five dims", [x.reshape(2, 2, 3, 10, 8) for x in _qkv(4, 3, 10, 8)]),
        _case(
            "broadcast keys", [_qkv(2, 3, 10, 8)[0], *(x[:1, :1] for x in _qkv(2, 3, 10, 8)[1:])]
        ),
        _case("no queries", [values(1, 2, 0, 8), *_qkv(1, 2, 4, 8)[1:]]),
        _case("no batch", [x[:0] for x in _qkv(1, 2, 4, 8)]),
        _case("long", _qkv(1, 1, 40, 32, keys=1500)),
        _case("long causal", _qkv(1, 1, 700, 16), is_causal=True),
    ]
    check(cases)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("queries", [1, 2, 3, 4])
def test_few_queries_read_keys_in_place(dtype: torch.dtype, queries: int) -> None:
    additive = values(queries, 45, dtype=dtype, seed=5)
    hidden = torch.zeros(queries, 45, dtype=torch.bool)

    def few(width: int, **sizes: Any) -> list[torch.Tensor]:
        q, *rest = _qkv(2, 4, 45, width, dtype, **sizes)
        return [q[:, :, :queries].contiguous(), *rest]

    check(
        [
            _case("plain", few(64)),
            _case("causal", few(16), is_causal=True),
            _case("odd width", few(24, out=48)),
            _case("width of one", few(1, out=16)),
            _case("additive", few(80), additive),
            _case("nothing seen", few(32), hidden),
            _case("rows apart", [x.mT.contiguous().mT for x in few(64)]),
            _case(
                "heads inside", [x.transpose(1, 2).contiguous().transpose(1, 2) for x in few(64)]
            ),
            _case("grouped", few(64, groups=2), enable_gqa=True),
        ]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_rows_with_nothing_to_see(dtype: torch.dtype) -> None:
    inputs = _qkv(2, 2, 5, 8, dtype, keys=7)
    boolean = values(5, 7, dtype=torch.bool)
    boolean[1], boolean[2] = False, True
    additive = torch.zeros(5, 7, dtype=dtype)
    additive[1], additive[3, 2:] = -math.inf, -math.inf
    check([_case("boolean", inputs, boolean), _case("additive", inputs, additive)])


def test_large_scores() -> None:
    q, k, v = _qkv(1, 2, 20, 16)
    check([Case("large", sdpa, [q * 30, k * 30, v], rtol=1e-3, atol=1e-3)])


def test_spellings() -> None:
    q, k, v = _qkv(2, 4, 12, 16)
    mask = values(12, 12)
    check(
        [
            Case(
                "flash for cpu",
                lambda q, k, v: aten._scaled_dot_product_flash_attention_for_cpu(q, k, v),
                [q, k, v],
                exact=True,
                atol=2e-5,
            ),
            Case(
                "flash for cpu, causal",
                lambda q, k, v: aten._scaled_dot_product_flash_attention_for_cpu(
                    q, k, v, 0.0, True
                )[0],
                [q, k, v],
                exact=True,
                atol=2e-5,
            ),
            Case(
                "flash for cpu, masked",
                lambda q, k, v, m: aten._scaled_dot_product_flash_attention_for_cpu(
                    q, k, v, attn_mask=m
                ),
                [q, k, v, mask],
                exact=True,
                atol=2e-5,
            ),
            Case(
                "math",
                lambda q, k, v: aten._scaled_dot_product_attention_math(q, k, v)[0],
                [q, k, v],
                atol=2e-5,
            ),
            Case(
                "by hand",
                lambda q, k, v: torch.softmax(q @ k.transpose(-2, -1) / 4.0, -1) @ v,
                [q, k, v],
                atol=2e-5,
            ),
            Case(
                "by hand, masked",
                lambda q, k, v, m: torch.softmax(q @ k.transpose(-2, -1) * 0.25 + m, -1) @ v,
                [q, k, v, mask],
                atol=2e-5,
            ),
            Case(
                "by hand, causal",
                lambda q, k, v: (
                    torch.softmax(
                        (q @ k.transpose(-2, -1) * 0.25).masked_fill(
                            torch.ones(12, 12, dtype=torch.bool).triu(1), -math.inf
                        ),
                        -1,
                    )
                    @ v
                ),
                [q, k, v],
                atol=2e-5,
            ),
        ]
    )


def test_layouts() -> None:
    fused = values(2, 21, 3 * 4 * 16)

    def from_fused(x: torch.Tensor, causal: bool) -> torch.Tensor:
        q, k, v = x.view(2, 21, 3, 4, 16).permute(2, 0, 3, 1, 4).unbind(0)
        return sdpa(q, k, v, is_causal=causal).transpose(1, 2).reshape(2, 21, 64)

    def chunked(x: torch.Tensor) -> torch.Tensor:
        parts = (part.view(2, 21, 4, 16).transpose(1, 2) for part in x.chunk(3, -1))
        return sdpa(*parts).transpose(1, 2).contiguous().view(2, 21, 64)

    q, k, v = _qkv(2, 4, 21, 16)
    check(
        [
            Case("fused", lambda x: from_fused(x, False), [fused], atol=2e-5),
            Case("fused causal", lambda x: from_fused(x, True), [fused], atol=2e-5),
            Case("chunked", chunked, [fused], atol=2e-5),
            Case(
                "transposed keys",
                lambda q, k, v: sdpa(q, k, v),
                [q, k.mT.contiguous().mT, v],
                atol=2e-5,
            ),
            Case("broadcast batch", sdpa, [q, k[:1].expand(2, -1, -1, -1), v], atol=2e-5),
            Case(
                "rope",
                lambda q, k, v: sdpa(q * 2 + k, torch.cat([k[..., 8:], -k[..., :8]], -1), v),
                [q, k, v],
                atol=1e-4,
            ),
        ]
    )
