# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions with few channels a group against PyTorch in float64: every argument drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from harness import Case, check, values
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

import tessera as ts

# Examples are tables of cases that name the wrong ones: there is nothing to shrink.
SLOW = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def _draw(rng: random.Random, dtype: torch.dtype) -> Case | None:
    """One convolution with what may follow it; None where its windows do not fit."""
    dims = rng.choice([1, 2, 2, 3])

    def pick(*choices: int) -> list[int]:
        return [rng.choice(choices) for _ in range(dims)]

    inputs = rng.choice([1, 1, 1, 2, 4, 8])
    groups = rng.choice([2, 5, 8, 16, 24, 33, 48, 72]) // inputs + 1
    channels = groups * inputs
    multiplier = rng.choice([1, 1, 1, 2, 3, 4]) if inputs == 1 else 1
    stride, padding, dilation = pick(1, 1, 2, 3), pick(0, 1, 2, 4), pick(1, 1, 2, 3)
    kernel = pick(1, 2, 3, 5, 7) if dims < 3 else pick(1, 2, 3)
    size = pick(1, 4, 7, 15, 30) if dims < 3 else pick(2, 5, 9)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    if any(n + 2 * p < s for n, p, s in zip(size, padding, spans, strict=True)):
        return None
    seed = rng.randrange(1000)
    x = values(rng.choice([1, 2]), channels, *size, dtype=dtype, low=-1, high=1, seed=seed)
    outputs = channels * multiplier
    w = values(outputs, inputs, *kernel, dtype=dtype, low=-1, high=1, seed=seed + 1)
    b = values(outputs, dtype=dtype, low=-1, high=1, seed=seed + 2)
    then: Callable[[Tensor], Tensor] = rng.choice([F.silu, F.relu, F.hardswish, lambda y: y + 1])
    call = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    name = f"{tuple(x.shape)} {tuple(w.shape)} {options}"
    if rng.random() < 0.3:  # weights that every call computes
        return Case(name, lambda x, w, b: then(call(x, w * 2, b, **options)), (x, w, b), atol=1e-4)
    atol = {torch.float32: 2e-5, torch.float64: 1e-9}.get(dtype, 0.3)
    return Case(name, lambda x, w, b: then(call(x, w, b, **options)), (x, w, b), atol=atol)


@SLOW
@given(st.randoms(use_true_random=False))
def test_random_arguments(rng: random.Random) -> None:
    cases: list[Case] = []
    while len(cases) < 12:
        case = _draw(rng, rng.choice([torch.float32, torch.float32, torch.float64]))
        if case is not None:
            cases.append(case)
    check(cases)


@pytest.mark.parametrize("inputs", [2, 4, 8])
def test_groups_side_by_side_fill_vectors(inputs: int) -> None:
    model = torch.nn.Conv2d(48, 48, 3, padding=1, groups=48 // inputs).eval()
    x = torch.randn(1, 48, 20, 20)
    tess = ts.from_pytorch(model, example_inputs=(x,), strict=True)
    assert [row.kind for row in tess.report.kernels if row.flops > 1e5] == ["depthwise"]
    torch.testing.assert_close(tess(x), model(x), rtol=1e-5, atol=1e-5)
    # An infinity stays in its group.
    x[0, inputs, 3, 3] = float("inf")
    assert torch.equal(tess(x).isfinite(), model(x).isfinite())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_types(dtype: torch.dtype) -> None:
    x = values(2, 24, 9, 17, dtype=dtype, low=-1, high=1)
    w = values(24, 1, 3, 3, dtype=dtype, low=-1, high=1, seed=1)
    b = values(24, dtype=dtype, low=-1, high=1, seed=2)
    atol = 2e-2 if dtype == torch.bfloat16 else 3e-3

    def call(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return F.relu(F.conv2d(x, w, b, padding=1, groups=24))

    check([Case("relu", call, (x, w, b), atol=atol)])


def test_kinds_of_kernels() -> None:
    """What the kernels of the class take and what goes another way give the same."""
    line, image = values(2, 32, 200, low=-1, high=1), values(1, 32, 20, 20, low=-1, high=1)

    def case(name: str, x: Tensor, *kernel: int, **options: Any) -> Case:
        w = values(x.shape[1], 1, *kernel, low=-1, high=1, seed=3)
        call = F.conv1d if len(kernel) == 1 else F.conv2d
        return Case(name, lambda x, w: call(x, w, groups=32, **options), (x, w), atol=1e-4)

    check(
        [
            case("long", line, 31, padding=15),
            case("longer than any", line, 65, padding=32),
            case("larger than the image", image, 7, 7, padding=6),
            case("windows in the border alone", image[:, :, :2, :2], 3, 3, padding=3, dilation=3),
            case("wide", image.expand(1, 32, 20, 20), 1, 9, padding=(0, 4)),
            case("stride beyond the kernel", image, 2, 2, stride=5),
        ]
    )


def test_layouts() -> None:
    x = values(2, 20, 9, 11, low=-1, high=1)
    w = values(20, 1, 3, 3, low=-1, high=1, seed=1)

    def turned(x: Tensor, w: Tensor) -> Tensor:
        return F.conv2d(x, w.flip(2), padding=1, groups=20)

    def transposed(x: Tensor, w: Tensor) -> Tensor:
        return F.conv_transpose2d(x, w, stride=2, padding=1, groups=20)

    def sliced(x: Tensor, w: Tensor) -> Tensor:
        return F.conv2d(x[:, ::2, 1:], w[::2, :, ::2], groups=10)

    def also_read(x: Tensor, w: Tensor) -> Tensor:
        return F.conv2d(x, w, padding=1, groups=20) * w[0, 0, 0, 0]

    def constant(x: Tensor, w: Tensor) -> Tensor:
        return F.conv2d(x, torch.full_like(w, 0.5), padding=1, groups=20)

    last = x.to(memory_format=torch.channels_last)
    check(
        [
            Case("channels last", turned, (last, w), atol=1e-5),
            Case("flipped", turned, (x, w), atol=1e-5),
            Case("transposed", transposed, (x, w), atol=1e-5),
            Case("sliced", sliced, (x, w), atol=1e-5),
            Case("also read", also_read, (x, w), atol=1e-5),
            Case("constant", constant, (x, w), atol=1e-5),
        ]
    )


class Norm(torch.nn.Module):
    """A depthwise convolution with the norm that follows it in networks, and a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False)
        self.norm = torch.nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.silu(self.norm(self.conv(x)))


@pytest.mark.parametrize("channels", [16, 40, 100])
def test_threads_do_not_change_the_answer(channels: int) -> None:
    torch.manual_seed(0)
    model, x = Norm(channels), torch.randn(2, channels, 19, 23)
    with torch.no_grad():
        model.train()(x)
        model.eval()
        one, two = (ts.from_pytorch(model, example_inputs=(x,), threads=n)(x) for n in (1, 2))
        torch.testing.assert_close(one, two, rtol=0, atol=0)
        expected = model.double()(x.double())
    torch.testing.assert_close(one.double(), expected, rtol=1e-5, atol=1e-5)


def test_it_is_one_kernel() -> None:
    model = Norm(32).eval()
    x = torch.randn(1, 32, 14, 14)
    compiled = ts.from_pytorch(model, example_inputs=(x,), strict=True)
    kinds = [kernel.kind for kernel in compiled.report.kernels]
    assert kinds.count("depthwise") == 1
    assert "rows" not in kinds


def test_what_follows_goes_along_also_before_products() -> None:
    model = torch.nn.Sequential(
        torch.nn.ZeroPad2d((0, 1, 2, 1)),
        torch.nn.Conv2d(32, 32, 3, groups=32),
        torch.nn.BatchNorm2d(32),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 8, 1),
    ).eval()
    x = torch.randn(1, 32, 14, 14)
    compiled = ts.from_pytorch(model, example_inputs=(x,), strict=True)
    kinds = [kernel.kind for kernel in compiled.report.kernels]
    # Elementwise are the copies of input and result, to channels inside and back.
    assert kinds == ["elementwise", "depthwise", "contraction", "elementwise"]
    result = compiled(x)
    with torch.no_grad():
        expected = model.double()(x.double())
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-5)


class Gated(torch.nn.Module):
    """Squeeze and excitation between a depthwise and a pointwise convolution."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.down = torch.nn.Conv2d(channels, 8, 1)
        self.up = torch.nn.Conv2d(8, channels, 1)
        self.project = torch.nn.Conv2d(channels, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.conv(x))
        gate = F.hardsigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))
        return self.project(gate * x)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [6, 24])
def test_gates(batch: int, size: int) -> None:
    torch.manual_seed(0)
    model, x = Gated(40, 24).eval(), torch.randn(batch, 40, size, size)
    compiled = ts.from_pytorch(model, example_inputs=(x,), strict=True)
    result = compiled(x)
    with torch.no_grad():
        expected = model.double()(x.double())
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-5)
