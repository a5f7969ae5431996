# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random shapes, strides and compositions, found by hypothesis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from harness import Case, check, values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

FEW = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SIZES = st.sampled_from([0, 1, 1, 2, 3, 5, 8, 15, 16, 17, 33])
SHAPES = st.lists(SIZES, max_size=4).filter(lambda shape: math.prod(shape) < 20000)


@st.composite
def tensors(draw: Any, shape: list[int] | None = None) -> Tensor:
    """A tensor of the shape (or of any) in some layout: permuted, sliced, stretched."""
    wanted = draw(SHAPES) if shape is None else shape
    order = draw(st.permutations(range(len(wanted))))
    stored, steps = [], []
    for dim in order:
        step = draw(st.sampled_from([1, 1, 1, 2, 3]))
        stretched = draw(st.integers(0, 9)) == 0
        stored.append(1 if stretched else wanted[dim] * step)
        steps.append(step)
    base = values(*stored, seed=draw(st.integers(0, 3)))
    base = base[tuple(slice(None, None, step) for step in steps)] if steps else base
    base = base.expand([wanted[dim] for dim in order])
    inverse = [order.index(dim) for dim in range(len(wanted))]
    return base.permute(inverse)


@st.composite
def pairs(draw: Any) -> tuple[Tensor, Tensor]:
    """Two tensors that broadcast."""
    shape = draw(SHAPES)
    both = []
    for _ in range(2):
        mine = [1 if draw(st.integers(0, 3)) == 0 else size for size in shape]
        both.append(draw(tensors(mine[draw(st.integers(0, len(mine))) :])))
    return both[0], both[1]


@FEW
@given(st.lists(pairs(), min_size=6, max_size=6))
def test_broadcasting(drawn: list[tuple[Tensor, Tensor]]) -> None:
    functions: list[Callable[..., Tensor]] = [
        lambda x, y: x + y * 2,
        torch.maximum,
        lambda x, y: torch.where(x > y, x, y.exp()),
        lambda x, y: (x < y) | (x > 1),
        lambda x, y: x.sigmoid() - y,
        lambda x, y: torch.atan2(x, y),
    ]
    check(
        [
            Case(
                f"{index}: {tuple(x.shape)} {x.stride()} and {tuple(y.shape)} {y.stride()}",
                f,
                [x, y],
            )
            for index, ((x, y), f) in enumerate(zip(drawn, functions, strict=True))
        ]
    )


@FEW
@given(st.lists(tensors(), min_size=4, max_size=4), st.data())
def test_reducing(drawn: list[Tensor], data: Any) -> None:
    cases = []
    for x in drawn:
        dims = data.draw(st.lists(st.integers(0, max(x.ndim - 1, 0)), unique=True, min_size=1))
        dims = [] if not x.ndim else dims
        keep = data.draw(st.booleans())
        name = f"{tuple(x.shape)} {x.stride()} over {dims}"
        some = math.prod(x.shape[dim] for dim in dims) > 0 and bool(dims)
        cases.append(
            Case(f"sum {name}", lambda x, d=dims, k=keep: x.sum(d, k), [x], rtol=1e-5, atol=1e-4)
        )
        cases.append(Case(f"mean {name}", lambda x, d=dims, k=keep: x.mean(d, k), [x], rtol=1e-5))
        if some:
            cases.append(Case(f"amax {name}", lambda x, d=dims, k=keep: x.amax(d, k), [x]))
            cases.append(Case(f"softmax {name}", lambda x, d=dims: torch.softmax(x, d[0]), [x]))
            cases.append(Case(f"argmin {name}", lambda x, d=dims, k=keep: x.argmin(d[0], k), [x]))
    check(cases)


@FEW
@given(st.lists(tensors(), min_size=4, max_size=4), st.data())
def test_moving(drawn: list[Tensor], data: Any) -> None:
    cases = []
    for x in drawn:
        order = data.draw(st.permutations(range(x.ndim)))
        name = f"{tuple(x.shape)} {x.stride()} {order}"

        def shuffle(x: Tensor, order: list[int] = order) -> Any:
            y = x.permute(order) * 2
            z = y.reshape(-1)
            return y, z.flip(0) if x.numel() else z, torch.cat([y.flatten(), z[::2]]).unsqueeze(1)

        cases.append(Case(name, shuffle, [x]))
        if x.ndim:
            low = data.draw(st.integers(0, x.shape[0]))
            high = data.draw(st.integers(low, x.shape[0]))
            step = data.draw(st.integers(1, 3))
            cases.append(
                Case(
                    f"slice {name} {low}:{high}:{step}",
                    lambda x, a=low, b=high, s=step: F.pad(x[a:b:s] + 1, (1, 0)),
                    [x],
                )
            )
    check(cases)


@FEW
@given(st.data())
def test_multiplying(data: Any) -> None:
    cases = []
    size = st.sampled_from([1, 2, 3, 7, 8, 16, 17, 31, 32, 33, 64, 70])
    for index in range(3):
        m, k, n = (data.draw(size) for _ in range(3))
        batch = data.draw(st.sampled_from([[], [1], [3], [2, 3]]))
        a = data.draw(tensors([*batch, m, k]))
        b = data.draw(tensors([*data.draw(st.sampled_from([[], batch])), k, n]))
        name = f"{tuple(a.shape)} {a.stride()} @ {tuple(b.shape)} {b.stride()}"
        cases.append(Case(f"{index}: {name}", torch.matmul, [a, b], rtol=1e-5, atol=2e-4))
        cases.append(
            Case(
                f"{index}: fused {name}",
                lambda a, b: F.gelu((a * 0.5) @ b + 1).transpose(-1, -2),
                [a, b],
                rtol=1e-5,
                atol=2e-4,
            )
        )
    check(cases)


@FEW
@given(st.data())
def test_attending(data: Any) -> None:
    cases = []
    for index in range(2):
        batch, groups, repeat = (data.draw(st.sampled_from([1, 2, 3])) for _ in range(3))
        length, keys = (data.draw(st.sampled_from([1, 2, 5, 16, 33, 70])) for _ in range(2))
        width = data.draw(st.sampled_from([1, 8, 16, 20]))
        heads = groups * repeat
        q = data.draw(tensors([batch, heads, length, width]))
        k, v = (data.draw(tensors([batch, groups, keys, width])) for _ in range(2))
        causal = data.draw(st.booleans())
        name = f"{index}: {tuple(q.shape)} {q.stride()} {tuple(k.shape)} {k.stride()} {v.stride()}"
        cases.append(
            Case(
                f"{name} causal={causal}",
                lambda q, k, v, c=causal: F.scaled_dot_product_attention(
                    q, k, v, is_causal=c, enable_gqa=True
                ),
                [q, k, v],
                rtol=1e-5,
                atol=5e-5,
            )
        )
        mask = data.draw(tensors([length, keys]))
        cases.append(
            Case(
                f"{name} masked",
                lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, enable_gqa=True),
                [q, k, v, mask],
                rtol=1e-5,
                atol=5e-5,
            )
        )
    check(cases)
