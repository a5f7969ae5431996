# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions against PyTorch in float64: every argument, every kind of kernel.

The lowerings are tested on many random arguments without compiling anything; what becomes of
`graph.convolution` is tested compiled, a table of cases at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from graph_reference import Handle, ReferenceBuilder
from harness import Case, check, values
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

import tessera as ts
from tessera.lowering.aten import convolution_backward as lowering
from tessera.lowering.aten.rules import BUILTINS
from tessera.lowering.context import GraphValue, LoweringContext


def _case(
    name: str, function: Callable[..., Any], *inputs: Tensor, depth: int = 0, **options: Any
) -> Case:
    """Sums of `depth` products, each of up to nine."""
    dtype = inputs[0].dtype
    atol = {torch.float64: 1e-9, torch.float32: 2e-5}.get(
        dtype, 2e-3 if dtype == torch.float16 else 2e-2
    )
    return Case(
        name,
        lambda *t: function(*t, **options),
        inputs,
        rtol=None,
        atol=atol * max(depth, 100) / 100,
    )


def _image(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return values(*shape, dtype=dtype, low=-1, high=1, seed=seed)


def _plain(dtype: torch.dtype = torch.float32) -> list[Case]:
    x, line, volume = (
        _image(*s, dtype=dtype) for s in ((2, 6, 12, 15), (2, 6, 40), (2, 4, 5, 6, 7))
    )
    k3, k1 = _image(8, 6, 3, 3, dtype=dtype, seed=1), _image(5, 6, 1, 1, dtype=dtype, seed=1)
    b8, b5 = _image(8, dtype=dtype, seed=2), _image(5, dtype=dtype, seed=2)
    k43 = _image(8, 6, 4, 3, dtype=dtype, seed=1)
    d1, d2 = _image(6, 1, 3, 3, dtype=dtype, seed=1), _image(12, 1, 3, 3, dtype=dtype, seed=1)
    g = _image(9, 2, 3, 2, dtype=dtype, seed=1)
    return [
        _case("plain", F.conv2d, x, k3),
        _case("bias", F.conv2d, x, k3, b8),
        _case("padding", F.conv2d, x, k3, b8, padding=1),
        _case("padding apart", F.conv2d, x, k3, padding=(2, 0)),
        _case("stride", F.conv2d, x, k3, stride=2, padding=1),
        _case("stride apart", F.conv2d, x, k3, b8, stride=(1, 3)),
        _case("dilation", F.conv2d, x, k3, padding=2, dilation=2),
        _case("dilation apart", F.conv2d, x, k3, stride=2, padding=(3, 1), dilation=(3, 1)),
        _case("same", F.conv2d, x, k3, padding="same"),
        _case("same even", F.conv2d, x, k43, padding="same", dilation=(1, 2)),
        _case("valid", F.conv2d, x, k43, padding="valid", stride=(4, 3)),
        _case("patches", F.conv2d, x, k43, b8, stride=(4, 3)),
        _case("patches apart", F.conv2d, x, k43, stride=(5, 4)),
        _case("one window", F.conv2d, x[:, :, :4, :3], k43),
        _case("padding alone", F.conv2d, x[:, :, :1, :1], k43, padding=3),
        _case("pixelwise", F.conv2d, x, k1, b5),
        _case("pixelwise stride", F.conv2d, x, k1, b5, stride=(2, 3)),
        _case("pixelwise padding", F.conv2d, x, k1, b5, padding=1),
        _case("unbatched", F.conv2d, x[0], k3, b8, padding=1),
        _case("channels last", F.conv2d, x.to(memory_format=torch.channels_last), k3, b8),
        _case("depthwise", F.conv2d, x, d1, groups=6, padding=1),
        _case("depthwise stride", F.conv2d, x, d1, stride=2, groups=6, dilation=2, padding=2),
        _case("depthwise twice", F.conv2d, x, d2, groups=6, padding=1),
        _case("depthwise wide", F.conv2d, _image(1, 37, 9, 9, dtype=dtype),
              _image(37, 1, 5, 5, dtype=dtype), padding=2, groups=37),
        _case("groups", F.conv2d, x, g, groups=3),
        _case("groups pixelwise", F.conv2d, x, _image(8, 3, 1, 1, dtype=dtype), b8, groups=2),
        _case("1d", F.conv1d, line, _image(7, 6, 5, dtype=dtype), padding=2),
        _case("1d stride", F.conv1d, line, _image(7, 6, 3, dtype=dtype), stride=2, padding=1),
        _case("1d pixelwise", F.conv1d, line, _image(5, 6, 1, dtype=dtype), b5),
        _case("1d depthwise", F.conv1d, line, _image(6, 1, 4, dtype=dtype), groups=6, padding=3),
        _case("1d unbatched", F.conv1d, line[1], _image(7, 6, 5, dtype=dtype)),
        _case("3d", F.conv3d, volume, _image(5, 4, 2, 3, 2, dtype=dtype), b5, padding=1),
        _case("3d stride", F.conv3d, volume, _image(5, 4, 2, 2, 2, dtype=dtype), stride=2),
        _case("3d depthwise", F.conv3d, volume, _image(4, 1, 3, 3, 3, dtype=dtype), groups=4),
        _case("empty batch", F.conv2d, x[:0], k3, b8),
    ]  # fmt: skip


def _transposes(dtype: torch.dtype = torch.float32) -> list[Case]:
    x, line, volume = (_image(*s, dtype=dtype) for s in ((2, 6, 5, 7), (2, 6, 9), (1, 4, 3, 4, 5)))
    k3, k2 = _image(6, 5, 3, 3, dtype=dtype, seed=1), _image(6, 5, 2, 2, dtype=dtype, seed=1)
    b5 = _image(5, dtype=dtype, seed=2)
    two = F.conv_transpose2d
    return [
        _case("plain", two, x, k3),
        _case("padding", two, x, k3, b5, padding=1),
        _case("stride", two, x, k3, b5, stride=2, padding=1),
        _case("output padding", two, x, k3, b5, stride=2, padding=1, output_padding=1),
        _case("stride apart", two, x, k3, stride=(1, 3), padding=(2, 0), output_padding=(0, 2)),
        _case("dilation", two, x, k3, stride=2, dilation=3),
        _case("dilation and stride share", two, x, k3, stride=(2, 4), dilation=(2, 2)),
        _case("side by side", two, x, k2, b5, stride=2),
        _case("with gaps", two, x, k2, b5, stride=3, output_padding=1),
        _case("cropped", two, x, k2, stride=2, padding=1),
        _case("large strides", two, x, _image(6, 5, 7, 8, dtype=dtype), stride=(5, 6), padding=3),
        _case("groups", two, x, _image(6, 2, 3, 2, dtype=dtype), groups=3, stride=2),
        _case("groups side by side", two, x, _image(6, 2, 2, 2, dtype=dtype), groups=2, stride=2),
        _case("depthwise", two, x, _image(6, 1, 4, 4, dtype=dtype), groups=6, stride=2, padding=1),
        _case("pixelwise", two, x, _image(6, 5, 1, 1, dtype=dtype), stride=2),
        _case("unbatched", two, x[0], k3, b5, stride=2),
        _case("1d", F.conv_transpose1d, line, _image(6, 3, 4, dtype=dtype), stride=2, padding=1),
        _case("3d", F.conv_transpose3d, volume, _image(4, 3, 2, 3, 2, dtype=dtype), stride=2),
        _case("empty batch", two, x[:0], k3, b5, stride=2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str
)
def test_convolutions(dtype: torch.dtype) -> None:
    check(_plain(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_transposed_convolutions(dtype: torch.dtype) -> None:
    check(_transposes(dtype))


def test_integers() -> None:
    x, w = values(2, 4, 7, 8, dtype=torch.int64), values(6, 2, 3, 3, dtype=torch.int64)
    check([Case("groups", lambda x, w: F.conv2d(x, w, padding=1, groups=2), [x, w])])


def test_what_is_around_a_convolution() -> None:
    """Epilogues, residuals, norms of channels and pools, between and behind convolutions."""
    x, k3, k1 = _image(2, 6, 9, 11), _image(8, 6, 3, 3, seed=1), _image(8, 8, 1, 1, seed=2)
    d, b = _image(8, 1, 3, 3, seed=3), _image(8, seed=4)

    def residual(x: Tensor, k3: Tensor, k1: Tensor, d: Tensor, b: Tensor) -> Tensor:
        y = F.relu(F.conv2d(x, k3, b, padding=1))
        z = F.silu(F.conv2d(y, d, b, padding=1, groups=8))
        scale = F.hardsigmoid(F.conv2d(F.adaptive_avg_pool2d(z, 1), k1))
        return F.conv2d(z * scale, k1, b) + y

    def normed(x: Tensor, k3: Tensor, k1: Tensor, d: Tensor, b: Tensor) -> Tensor:
        y = F.batch_norm(F.conv2d(x, k3), b, b.abs() + 1, b, b)
        y = F.hardswish(F.max_pool2d(y, 3, 2, 1))
        y = F.layer_norm(y.permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2)
        return torch.cat([F.conv2d(y, d, groups=8, padding=1), F.group_norm(y, 2)], 1).mean((2, 3))

    def sequence(x: Tensor, k3: Tensor, k1: Tensor, d: Tensor, b: Tensor) -> Tensor:
        tokens = F.conv2d(x, k3, b, stride=3).flatten(2).transpose(1, 2)
        image = (tokens @ k1[:, :, 0, 0]).transpose(1, 2).reshape(2, 8, 3, 3)
        return F.pixel_shuffle(F.conv2d(image, k1), 2) + tokens.sum()

    def pixel(x: Tensor, k3: Tensor, k1: Tensor, d: Tensor, b: Tensor) -> Tensor:
        y = F.relu(F.conv2d(x[:1, :, :3, :3], k3, b))
        return torch.cat([F.conv2d(F.avg_pool2d(y, 3, 1, 1), k1), F.max_pool2d(y, 3, 1, 1)], 1)

    inputs = [x, k3, k1, d, b]
    check([_case(f.__name__, f, *inputs, depth=400) for f in (residual, normed, sequence, pixel)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("batch", [1, 3])
def test_norms_behind_convolutions(dtype: torch.dtype, batch: int) -> None:
    """Norms of groups of channels that come last; with means far from zero, too."""
    x, w = _image(batch, 4, 7, 9, dtype=dtype), _image(12, 4, 3, 3, dtype=dtype, seed=1)
    s, b = _image(12, dtype=dtype, seed=2), _image(12, dtype=dtype, seed=3)

    def norm(groups: int, shift: float, affine: bool = True) -> Callable[..., Tensor]:
        def call(x: Tensor, w: Tensor, s: Tensor, b: Tensor) -> Tensor:
            y = F.conv2d(x, w) + shift
            return F.silu(F.group_norm(y, groups, s, b) if affine else F.group_norm(y, groups))

        return call

    cases = {"one": (1, 0.0), "three": (3, 0.0), "each": (12, 0.0), "far": (4, 30.0)}
    checks = [_case(k, norm(*v), x, w, s, b, depth=400) for k, v in cases.items()]
    check([*checks, _case("plain", norm(4, 0.0, False), x, w, s, b, depth=400)])


# --- arguments at random ---------------------------------------------------------------------


class Drawn:
    """Arguments of one convolution."""

    def __init__(self, rng: random.Random, transposed: bool, dims: int) -> None:
        def pick(*choices: int) -> list[int]:
            return [rng.choice(choices) for _ in range(dims)]

        self.transposed, self.dims = transposed, dims
        self.groups, inputs, outputs = (
            rng.choice([1, 1, 2, 3]),
            rng.choice([1, 2, 5]),
            rng.choice([1, 3]),
        )
        self.stride, self.padding = pick(1, 1, 2, 3, 5), pick(0, 0, 1, 2, 4)
        self.dilation, kernel, size = pick(1, 1, 2, 3), pick(1, 2, 3, 4), pick(1, 2, 4, 7)
        self.extra = [
            rng.randrange(max(s, d)) for s, d in zip(self.stride, self.dilation, strict=True)
        ]
        if not transposed:
            self.extra = [0] * dims
        seed = rng.randrange(1000)
        self.x = values(
            rng.choice([1, 2]), self.groups * inputs, *size, dtype=torch.float64, seed=seed
        )
        first, second = (inputs, outputs) if transposed else (outputs, inputs)
        self.w = values(self.groups * first, second, *kernel, dtype=torch.float64, seed=seed + 1)
        self.b = values(self.groups * outputs, dtype=torch.float64) if rng.random() < 0.5 else None

    @property
    def arguments(self) -> tuple[Any, ...]:
        return (self.stride, self.padding, self.dilation, self.transposed, self.extra, self.groups)

    def expected(self) -> Tensor | None:
        """None where PyTorch refuses."""
        try:
            return torch.ops.aten.convolution(self.x, self.w, self.b, *self.arguments)
        except RuntimeError:
            return None

    def __str__(self) -> str:
        return f"{tuple(self.x.shape)} {tuple(self.w.shape)} {self.arguments}"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False), st.booleans(), st.integers(1, 3))
def test_lowerings(rng: random.Random, transposed: bool, dims: int) -> None:
    """Values and gradients, in Graph IR that is computed by PyTorch."""
    drawn = Drawn(rng, transposed, dims)
    want = drawn.expected()
    if want is None:
        return
    ctx = LoweringContext(ReferenceBuilder())

    def value(tensor: Tensor | None) -> GraphValue | None:
        return None if tensor is None else GraphValue(ctx, Handle(tensor))

    x, w, b = value(drawn.x), value(drawn.w), value(drawn.b)
    got = BUILTINS["convolution.default"](ctx, x, w, b, *drawn.arguments)
    torch.testing.assert_close(got.handle.tensor, want, msg=lambda text: f"{drawn}: {text}")
    grad = torch.arange(want.numel(), dtype=want.dtype).reshape(want.shape).sin()
    sizes, mask = [want.shape[1]], [True, True, True]
    gradients = torch.ops.aten.convolution_backward(
        grad, drawn.x, drawn.w, sizes, *drawn.arguments, mask
    )
    ours = lowering.convolution_backward(
        ctx, frozenset(range(3)), value(grad), x, w, sizes, *drawn.arguments, mask
    )
    for mine, theirs in zip(ours, gradients, strict=True):
        torch.testing.assert_close(mine.handle.tensor, theirs, msg=lambda text: f"{drawn}: {text}")


# Examples are tables of cases that name the wrong ones: there is nothing to shrink.
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.randoms(use_true_random=False))
def test_compiled(rng: random.Random) -> None:
    cases = []
    while len(cases) < 12:
        drawn = Drawn(rng, rng.random() < 0.4, rng.choice([1, 2, 2, 3]))
        if drawn.expected() is None:
            continue
        arguments = drawn.arguments
        inputs = [drawn.x.float(), drawn.w.float()]

        def call(x: Tensor, w: Tensor, arguments: tuple[Any, ...] = arguments) -> Tensor:
            return torch.ops.aten.convolution(x, w, None, *arguments)

        cases.append(_case(str(drawn), call, *inputs, depth=600))
    check(cases)


# --- other ways to call it -------------------------------------------------------------------


def test_gradients_compile() -> None:
    x, w, g = _image(2, 4, 7, 7), _image(6, 4, 3, 3, seed=1), _image(2, 6, 4, 4, seed=2)

    def backward(g: Tensor, x: Tensor, w: Tensor) -> Any:
        return torch.ops.aten.convolution_backward(
            g, x, w, [6], [2, 2], [1, 1], [1, 1], False, [0, 0], 1, [True, True, True]
        )

    check([_case("backward", backward, g, x, w, depth=300)])


def test_other_spellings() -> None:
    x, w, b = _image(2, 6, 9, 8), _image(4, 6, 3, 3, seed=1), _image(4, seed=2)
    line, k, c = _image(7, 2, 5), _image(3, 5, 4, seed=1), _image(4, seed=2)

    def flags(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        rest = (False, [0, 0], 1, False, False, True, True)
        return torch.ops.aten._convolution(x, w, b, [1, 1], [1, 1], [1, 1], *rest)

    def mode(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return torch.ops.aten._convolution_mode(x, w, b, [1, 1], "same", [2, 1], 1)

    check(
        [
            _case("flags", flags, x, w, b),
            _case("mode", mode, x, w, b),
            _case("time first", lambda x, w, b: torch.conv_tbc(x, w, b, 1), line, k, c),
        ]
    )


def test_threads_do_not_change_the_answer() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3, padding=1),
        torch.nn.Conv2d(32, 32, 5, groups=32),
        torch.nn.Conv2d(32, 64, 1),
    ).eval()
    x = torch.randn(2, 3, 20, 20)
    with torch.no_grad():
        one, two = (ts.from_pytorch(model, example_inputs=(x,), threads=n)(x) for n in (1, 2))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
