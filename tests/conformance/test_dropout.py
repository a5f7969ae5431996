# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Training mode: dropout in every form, attention's too, and batch norm's running statistics."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from calling import converted
from torch import Tensor, nn

import tessera as ts

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def share(mask: Tensor) -> float:
    return float(mask.double().mean())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout(p: float, dtype: torch.dtype) -> None:
    x = torch.randn(300, 400, dtype=dtype)
    got = converted(lambda x: F.dropout(x, p), x)(x)
    assert (got.dtype, got.shape) == (dtype, x.shape)
    kept = got != 0
    assert abs(share(kept) - (1 - p)) < 0.006
    wanted = torch.where(kept, x.double() / (1 - p), 0.0).to(dtype)
    torch.testing.assert_close(got, wanted)
    # Neighbours, rows and columns are dropped apart from one another.
    for first, second in ((kept[1:], kept[:-1]), (kept[:, 1:], kept[:, :-1])):
        assert abs(share(first & second) - (1 - p) ** 2) < 0.008


def test_dropped_infinities_are_nan() -> None:
    x = torch.full((1000,), math.inf)
    got = converted(lambda x: F.dropout(x, 0.5), x)(x)
    assert bool((got.isnan() | got.isinf()).all())
    assert 300 < int(got.isnan().sum()) < 700
    torch.testing.assert_close(converted(lambda x: F.dropout(x, 1.0), x)(x), x * 0, equal_nan=True)


def test_masks_that_are_read_again() -> None:
    x = torch.randn(64, 128)

    def function(x: Tensor) -> Any:
        y, mask = torch.native_dropout(x, 0.3, True)
        return y, mask, (mask.float() @ mask.float().mT), mask.sum(-1)

    y, mask, product, sums = converted(function, x)(x)
    assert mask.dtype == torch.bool
    assert abs(share(mask) - 0.7) < 0.03
    torch.testing.assert_close(y, torch.where(mask, x / 0.7, 0 * x))
    torch.testing.assert_close(product, mask.float() @ mask.float().mT)
    assert torch.equal(sums, mask.sum(-1))
    y, mask = converted(lambda x: torch.native_dropout(x, 0.3, False), x)(x)
    assert torch.equal(y, x)
    assert bool(mask.all())


CHANNELS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "dropout1d": (lambda x: F.dropout1d(x, 0.3), (60, 50, 7)),
    "dropout2d": (lambda x: F.dropout2d(x, 0.3), (60, 50, 3, 4)),
    "dropout3d": (lambda x: F.dropout3d(x, 0.3), (60, 50, 2, 3, 2)),
    "feature_alpha_dropout": (lambda x: F.feature_alpha_dropout(x, 0.3, True), (60, 50, 3, 4)),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_whole_channels(name: str) -> None:
    function, shape = CHANNELS[name]
    x = torch.ones(shape)
    got = converted(function, x)(x).flatten(2)
    assert torch.equal(got, got[..., :1].expand_as(got))
    assert len(got.unique()) == 2
    assert abs(share(got[..., 0] > 0.5) - 0.7) < 0.05


@pytest.mark.parametrize("p", [0.2, 0.6])
def test_alpha_dropout(p: float) -> None:
    x = torch.randn(300_000)
    got = converted(lambda x: F.alpha_dropout(x, p, True), x)(x)
    # What it is for: mean and variance stay.
    assert abs(float(got.mean())) < 0.02
    assert abs(float(got.var()) - 1) < 0.03
    alpha = 1.7580993408473766
    scale = 1 / math.sqrt((alpha * alpha * p + 1) * (1 - p))
    shift = alpha * scale * p
    dropped = (got - (shift - alpha * scale)).abs() < 1e-6
    assert abs(share(dropped) - p) < 0.006
    torch.testing.assert_close(got[~dropped], x[~dropped] * scale + shift)
    assert torch.equal(converted(lambda x: F.alpha_dropout(x, p), x)(x), x)


def test_rrelu() -> None:
    x = torch.randn(100_000)
    for module in (nn.RReLU(0.2, 0.4), nn.RReLU(0.2, 0.4, inplace=True)):
        run = ts.from_pytorch(module, example_inputs=(x.clone(),), strict=True)
        got = run(x.clone())
        assert torch.equal(got[x > 0], x[x > 0])
        slopes = got[x < 0] / x[x < 0]
        assert float(slopes.min()) > 0.2 - 1e-6
        assert float(slopes.max()) < 0.4 + 1e-6
        assert abs(float(slopes.mean()) - 0.3) < 0.002
        torch.testing.assert_close(run.eval()(x.clone()), torch.where(x > 0, x, 0.3 * x))


# --- attention -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "heads"),
    [
        ({}, 4),
        ({"is_causal": True}, 4),
        ({"enable_gqa": True}, 2),
        ({"scale": 0.3}, 4),
    ],
)
def test_attention(options: dict[str, Any], heads: int) -> None:
    """With the unit matrix for values, what comes out are the weights that were kept."""
    p, length = 0.4, 64
    q, k = torch.randn(2, 4, length, 16), torch.randn(2, heads, length, 16)
    v = torch.eye(length).expand(2, heads, length, length).contiguous()

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p, **options)

    got = converted(attend, q, k, v)(q, k, v)
    weights = F.scaled_dot_product_attention(q, k, v, **options)
    kept = got != 0
    torch.testing.assert_close(got, torch.where(kept, weights / (1 - p), 0.0))
    assert abs(share(kept[weights > 0]) - (1 - p)) < 0.03


def test_attention_with_masks() -> None:
    q, k, v = (torch.randn(3, 20, 8, dtype=torch.bfloat16) for _ in range(3))
    for mask in (torch.rand(20, 20) > 0.5, torch.randn(3, 20, 20).bfloat16()):

        def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(q, k, v, mask, dropout_p=0.1)

        run = converted(attend, q, k, v, mask)
        mean = torch.stack([run(q, k, v, mask).float() for _ in range(200)]).mean(0)
        want = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), _float(mask))
        assert float((mean - want).abs().max()) < 0.3


def _float(mask: Tensor) -> Tensor:
    return mask if mask.dtype == torch.bool else mask.float()


# --- modules in training ---------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout2d(0.25)
        self.head = nn.Linear(8, 5)
        self.out = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(F.relu(self.norm(self.conv(x))))
        return self.out(self.head(x.mean((2, 3))))


def test_modes() -> None:
    model, x = Block(), torch.randn(16, 3, 12, 12)
    run = ts.from_pytorch(model, example_inputs=(x,), strict=True)
    assert run.training
    assert not torch.equal(run(x), run(x))
    model.eval()
    want = model(x)
    run.eval()
    torch.testing.assert_close(run(x), want)
    run.train()
    assert int((run(x) == 0).sum()) > 10


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(6),
        nn.BatchNorm2d(6, momentum=None),
        nn.BatchNorm2d(6, affine=False, momentum=0.3),
        nn.BatchNorm2d(6, track_running_stats=False),
        nn.InstanceNorm2d(6, track_running_stats=True),
    ],
    ids=lambda norm: f"{type(norm).__name__} {norm.extra_repr()}",
)
def test_running_statistics(norm: nn.Module) -> None:
    model = nn.Sequential(copy.deepcopy(norm), nn.ReLU())
    other = copy.deepcopy(model)
    x = torch.randn(4, 6, 5, 7) * 3 + 1
    # Without momentum the factor is a number out of a buffer: that layer stays in PyTorch.
    cumulative = isinstance(norm, nn.BatchNorm2d) and norm.momentum is None
    run = ts.from_pytorch(model, example_inputs=(x,), strict=not cumulative)
    # Converting is no step of training.
    for ours, theirs in zip(model.buffers(), other.buffers(), strict=True):
        assert torch.equal(ours, theirs)
    for step in range(3):
        torch.testing.assert_close(run(x + step), other(x + step))
        for ours, theirs in zip(model.buffers(), other.buffers(), strict=True):
            torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(run.eval()(x), other.eval()(x))


def test_a_transformer_in_training() -> None:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.2, batch_first=True)
    x = torch.randn(2, 10, 32)
    run = ts.from_pytorch(layer, example_inputs=(x,), strict=True)
    torch.manual_seed(1)
    first, second = run(x), run(x)
    torch.manual_seed(1)
    assert torch.equal(run(x), first)
    assert not torch.equal(first, second)
    mean = torch.stack([run(x) for _ in range(300)]).mean(0)
    with torch.no_grad():
        want = torch.stack([layer(x) for _ in range(300)]).mean(0)
    assert float((mean - want).abs().mean()) < 0.1
    layer.eval()
    torch.testing.assert_close(run.eval()(x), layer(x), rtol=1e-4, atol=1e-5)
