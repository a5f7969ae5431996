# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions that have a kernel of their own, against PyTorch in float64.

Sizes, strides, padding, dilation, groups and what follows are drawn at random, many convolutions to
a program.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hardware import HAS_DOT
from torch import Tensor, nn

import tessera as ts
from tessera import _core

CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMS: dict[int, Any] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class Layer(nn.Module):
    """A convolution between pixelwise ones, so that images are the program's own inside."""

    def __init__(self, convolution: nn.Module, norm: nn.Module | None, after: str) -> None:
        super().__init__()
        self.convolution, self.norm, self.after = convolution, norm, after

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolution(x)
        if self.norm is not None:
            y = self.norm(y)
        if self.after == "relu":
            return F.relu(y)
        if self.after == "silu":
            return F.silu(y)
        if self.after == "residual" and y.shape == x.shape:
            return F.relu(y + x)
        return y


class Side(nn.Module):
    """Layers that do not depend on one another."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        return [layer(x) for layer, x in zip(self.layers, inputs, strict=True)]


def _draw(dice: random.Random, dims: int, winograd: bool) -> tuple[nn.Module, Tensor]:
    groups = 1 if winograd else dice.choice([1, 1, 1, 2, 3, 8])
    channels = groups * dice.choice([1, 3, 4, 16, 17, 32])
    outputs = groups * dice.choice([3, 4, 8, 16, 24, 33, 48, 70])
    if winograd:
        channels, outputs = dice.choice([32, 48, 65]), dice.choice([32, 40, 72])
    kernel = [3 if winograd else dice.choice([1, 2, 3, 3, 5]) for _ in range(dims)]
    stride = [1 if winograd else dice.choice([1, 1, 2, 3]) for _ in range(dims)]
    dilation = [1 if winograd else dice.choice([1, 1, 2]) for _ in range(dims)]
    padding = [dice.randint(0, size + 1) for size in kernel]
    sizes = [dice.randint(9, 23 if dims < 3 else 12) for _ in range(dims)]
    after = dice.choice(["", "relu", "silu", "residual"])
    if after == "residual":
        outputs, stride = channels, [1] * dims
        padding = [d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True)]
    convolution = CONVOLUTIONS[dims](
        channels, outputs, kernel, stride, padding, dilation, groups, bias=dice.random() < 0.5
    )
    norm = NORMS[dims](outputs) if dice.random() < 0.5 else None
    if norm is not None:
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.uniform_(norm.bias, -1, 1)
        nn.init.uniform_(norm.running_mean, -1, 1)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    x = torch.randn(dice.choice([1, 1, 2, 3]), channels, *sizes)
    return Layer(convolution, norm, after), x


def _compare(
    layers: list[nn.Module], inputs: list[Tensor], times: float = 4, units: float = 16
) -> ts.Module:
    """Within `times` PyTorch's own error, or a few units in the last place."""
    model = Side(layers).eval()
    with torch.no_grad():
        wanted = copy.deepcopy(model).double()(*(x.double() for x in inputs))
        theirs = model(*inputs)
        tess = ts.from_pytorch(model, example_inputs=tuple(inputs), strict=True)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            ours = tess(*inputs)
            for layer, w, t, o in zip(layers, wanted, theirs, ours, strict=True):
                scale = w.abs().max().item()
                least = units * torch.finfo(o.dtype).eps * scale
                error, allowed = (o - w).abs().max().item(), (t - w).abs().max().item()
                assert error <= max(times * allowed, least), (layer, error, allowed)
    return tess


def _schedules(tess: ts.Module) -> list[str]:
    return [row.schedule for row in tess.report.kernels if row.kind == "convolution"]


@pytest.fixture(autouse=True)
def _seed() -> Any:
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["", "avx2"])
def cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Compiles for this machine, and for one with half the registers."""
    original = _core.compile

    def compile_for(module: Any, **options: Any) -> Any:
        return original(module, **{**options, "cpu": request.param})

    monkeypatch.setattr(_core, "compile", compile_for)
    return str(request.param)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_windows_in_place(dims: int, seed: int, cpu: str) -> None:
    dice = random.Random(100 * dims + seed)
    drawn = [_draw(dice, dims, winograd=False) for _ in range(10)]
    tess = _compare([layer for layer, _ in drawn], [x for _, x in drawn])
    assert any("algorithm = direct" in text for text in _schedules(tess))


def test_long_sums_are_cut() -> None:
    """At borders and between dilated taps too, where a product is short and a window is not."""
    layers: list[nn.Module] = [
        nn.Conv2d(256, 64, 3, padding=2, dilation=2),
        nn.Conv2d(256, 64, 3, 2, padding=1),
        nn.Conv2d(192, 64, 3, padding=1, groups=2),
        nn.Conv2d(128, 64, (1, 7), padding=(0, 3)),
        nn.Conv2d(48, 96, 3, padding=1, groups=2),
    ]
    inputs = [torch.randn(1, channels, 17, 17) for channels in (256, 256, 192, 128, 48)]
    _compare(layers, inputs, times=2, units=4)


@pytest.mark.parametrize("seed", range(2))
def test_winograd(seed: int, cpu: str) -> None:
    dice = random.Random(seed)
    drawn = [_draw(dice, 2, winograd=True) for _ in range(8)]
    tess = _compare([layer for layer, _ in drawn], [x for _, x in drawn])
    assert any("algorithm = winograd" in text for text in _schedules(tess))


class Modulated(nn.Module):
    """Kernels scaled by what an image's style says, and normalized: of each image its own."""

    def __init__(self, channels: int, outputs: int, size: int, transposed: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, channels, size, size) / channels**0.5)
        self.style = nn.Linear(12, channels)
        self.transposed = transposed

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        n, c, h, w = x.shape
        weight = self.weight * self.style(z).reshape(n, 1, c, 1, 1)
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        x = x.reshape(1, n * c, h, w)
        if self.transposed:
            weight = weight.transpose(1, 2).flatten(0, 1)
            y = F.conv_transpose2d(x, weight, stride=2, padding=1, groups=n)
        else:
            y = F.conv2d(x, weight.flatten(0, 1), padding=1, groups=n)
        return F.leaky_relu(y.reshape(n, -1, *y.shape[2:]), 0.2)


class Generated(nn.Module):
    """Kernels from a small network; with `times` a parameter read across is one factor."""

    def __init__(self, shape: tuple[int, ...], times: bool) -> None:
        super().__init__()
        self.shape, self.make = shape, nn.Linear(12, torch.Size(shape).numel())
        self.factor = nn.Parameter(torch.randn(shape[::-1])) if times else None

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        weight = self.make(z[0]).reshape(self.shape)
        if self.factor is not None:
            weight = weight * self.factor.permute(3, 2, 1, 0)
        return F.relu(F.conv2d(x, weight, padding=1))


@pytest.mark.parametrize(("size", "prepack"), [(10, True), (40, True), (10, False)])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Modulated(24, 40, 3, transposed=False),
        lambda: Modulated(24, 40, 4, transposed=True),
        lambda: Generated((40, 24, 3, 3), times=False),
        lambda: Generated((40, 24, 3, 2), times=True),
    ],
    ids=["modulated", "transposed", "generated", "scaled"],
)
def test_weights_that_calls_compute(
    make: Callable[[], nn.Module], size: int, prepack: bool, cpu: str
) -> None:
    model = make().eval()
    inputs = (torch.randn(3, 24, size, size + 3), torch.randn(3, 12))
    with torch.no_grad():
        wanted = copy.deepcopy(model).double()(*(x.double() for x in inputs))
        tess = ts.from_pytorch(model, example_inputs=inputs, strict=True, prepack=prepack)
        tess(inputs[0], torch.randn(3, 12))
        error = (tess(*inputs) - wanted).abs().max().item()
        least = (model(*inputs) - wanted).abs().max().item()
        assert error <= 2 * max(least, 2e-7 * wanted.abs().max().item())
        assert _schedules(tess)
        half = ts.from_pytorch(model, example_inputs=inputs, strict=True, precision="bf16")
        error = (half(*inputs) - wanted).abs().max().item()
        assert error <= 0.02 * wanted.abs().max().item()


def test_images_of_another_layout() -> None:
    images = [torch.randn(2, 32, 14, 13) for _ in range(3)]
    images[1] = images[1].to(memory_format=torch.channels_last)
    images[2] = images[2].transpose(2, 3)
    layers = [Layer(nn.Conv2d(32, 48, 3, padding=1), None, "relu") for _ in images]
    assert len(_schedules(_compare(layers, images))) == 3
    planes = [torch.randn(1, 3, 41, 37)]
    assert _schedules(_compare([nn.Conv2d(3, 32, 7, stride=2, padding=3)], planes))


def test_transposed_convolutions() -> None:
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(24, 32, 4, stride=2, padding=1),
        nn.ConvTranspose2d(24, 32, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose1d(24, 16, 5, stride=3),
    ]
    inputs = [torch.randn(2, 24, 9, 12), torch.randn(1, 24, 11, 8), torch.randn(2, 24, 31)]
    _compare(layers, inputs)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_other_types(dtype: torch.dtype) -> None:
    layers = [Layer(nn.Conv2d(20, 40, 3, padding=1, stride=s), None, "relu") for s in (1, 2)]
    model = Side([layer.to(dtype) for layer in layers]).eval()
    inputs = [torch.randn(2, 20, 13, 15).to(dtype) for _ in layers]
    tess = ts.from_pytorch(model, example_inputs=tuple(inputs), strict=True)
    with torch.no_grad():
        wanted = copy.deepcopy(model).double()(*(x.double() for x in inputs))
        for o, w in zip(tess(*inputs), wanted, strict=True):
            error = (o.double() - w).abs().max().item()
            assert error <= 4 * torch.finfo(dtype).eps * w.abs().max().item()
    assert not any("winograd" in text for text in _schedules(tess))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_pairs_of_channels_are_exact(dims: int, cpu: str) -> None:
    """Small whole numbers have exact sums, which are rounded once; inputs in planes as well."""
    dice = random.Random(dims)
    layers: list[nn.Module] = []
    inputs: list[Tensor] = []
    while len(layers) < 10:
        layer, x = _draw(dice, dims, winograd=False)
        assert isinstance(layer, Layer)
        if layer.convolution.weight.shape[1] == 1:  # no product of matrices
            continue
        layer.after = layer.after.replace("silu", "relu")
        layer.norm = None
        for parameter in layer.parameters():
            parameter.data = torch.randint(-3, 4, parameter.shape).to(torch.bfloat16)
        layers.append(layer)
        inputs.append(torch.randint(-3, 4, x.shape).to(torch.bfloat16))
    layers.append(nn.Conv2d(2, 32, 3, padding=1).bfloat16())
    layers[-1].weight.data.copy_(torch.randint(-3, 4, (32, 2, 3, 3)))
    layers[-1].bias.data.zero_()
    inputs.append(torch.randint(-3, 4, (2, 2, 16, 19)).to(torch.bfloat16))
    model = Side(layers).eval()
    with torch.no_grad():
        wanted = copy.deepcopy(model).double()(*(x.double() for x in inputs))
        tess = ts.from_pytorch(model, example_inputs=tuple(inputs), strict=True)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for layer, o, w in zip(layers, tess(*inputs), wanted, strict=True):
                assert torch.equal(o, w.to(torch.bfloat16)), layer
    if not cpu and HAS_DOT:
        assert any("pairs = true" in text for text in _schedules(tess))


def test_what_lies_beside_a_window_of_pairs_takes_no_part() -> None:
    x = torch.zeros(1, 4, 9, 17, dtype=torch.bfloat16)
    x[0, :, 4, 8] = float("nan")
    model = nn.Conv2d(4, 32, 3, padding=1, stride=(1, 2), dilation=(2, 1), groups=2).bfloat16()
    with torch.no_grad():
        got = ts.from_pytorch(model.eval(), example_inputs=(x,), strict=True)(x)
        assert torch.equal(got.isnan(), model(x).isnan())


@pytest.mark.skipif(not HAS_DOT, reason="the machine multiplies no pairs of bf16")
@pytest.mark.parametrize("size", [14, 29])
def test_winograd_of_pairs(size: int) -> None:
    """Where products of float32 may round; a model's own bfloat16 is summed term by term."""
    model = nn.Sequential(
        nn.Conv2d(62, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 70, 3, padding=(2, 0))
    ).eval()
    x = torch.randn(2, 62, size, size)
    wanted = copy.deepcopy(model).double()(x.double())
    half = copy.deepcopy(model).bfloat16()
    tess = ts.from_pytorch(model, example_inputs=(x,), strict=True, precision="bf16")
    with torch.no_grad():
        theirs = half(x.bfloat16())
        for threads in (1, 2):
            torch.set_num_threads(threads)
            error, allowed = (tess(x) - wanted).norm(), (theirs - wanted).norm()
            assert error <= 2 * allowed, (error, allowed)
    assert all("winograd" in text and "pairs = true" in text for text in _schedules(tess))
    own = ts.from_pytorch(half, example_inputs=(x.bfloat16(),), strict=True)
    assert not any("winograd" in text for text in _schedules(own))


def test_infinities_stay_where_windows_meet_them() -> None:
    x = torch.randn(1, 16, 12, 12)
    x[0, 3, 5, 6] = float("inf")
    model = nn.Conv2d(16, 32, 3, stride=2, padding=1).eval()
    with torch.no_grad():
        wanted = model(x)
        got = ts.from_pytorch(model, example_inputs=(x,), strict=True)(x)
    assert torch.equal(got.isfinite(), wanted.isfinite())


def test_small_groups_have_a_kernel() -> None:
    layers: list[nn.Module] = [nn.Conv2d(64, 48, 3, padding=1, groups=16), nn.Conv2d(32, 3, 3)]
    inputs = [torch.randn(1, 64, 15, 17), torch.randn(1, 32, 14, 14)]
    assert len(_schedules(_compare(layers, inputs))) == 2


def test_a_swapped_weight_is_prepared_again() -> None:
    x = torch.randn(1, 32, 16, 16)
    model = nn.Conv2d(32, 32, 3, padding=1).eval()
    tess = ts.from_pytorch(model, example_inputs=(x,), strict=True)
    run: Callable[[Tensor], Tensor] = tess
    with torch.no_grad():
        run(x)
        model.weight.mul_(2)
        torch.testing.assert_close(run(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [20, 56], ids=["direct", "winograd"])
def test_weights_that_calls_compute_are_packed_by_them(size: int) -> None:
    class Shown(nn.Module):
        """The weight is a result as well, or read by something that is."""

        def __init__(self, returned: bool) -> None:
            super().__init__()
            self.weight, self.returned = nn.Parameter(torch.randn(64, 64, 3, 3) / 24), returned

        def forward(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
            weight = self.weight.tanh()
            return F.conv2d(x, weight, padding=1), weight if self.returned else (weight + t) * 3

    x, t = torch.randn(1, 64, size, size), torch.randn(64, 64, 3, 3)
    for returned in (False, True):
        model = Shown(returned)
        with torch.no_grad():
            got = ts.from_pytorch(model, example_inputs=(x, t), strict=True)(x, t)
            for g, w in zip(got, model.double()(x.double(), t.double()), strict=True):
                torch.testing.assert_close(g.double(), w, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [20, 56], ids=["direct", "winograd"])
def test_nothing_is_kept_without_prepacking(size: int) -> None:
    model, x = nn.Conv2d(64, 64, 3, padding=1).eval(), torch.randn(1, 64, size, size)
    tess = ts.from_pytorch(model, example_inputs=(x,), strict=True, prepack=False)
    assert tess.report.buffers.prepared == 0
    with torch.no_grad():
        torch.testing.assert_close(tess(x), model(x), rtol=1e-4, atol=1e-5)
        model.weight.data.mul_(2)
        torch.testing.assert_close(tess(x), model(x), rtol=1e-4, atol=1e-5)


def test_precision_fp32_sums_term_by_term() -> None:
    """Winograd mixes neighbours: large ones take digits from small ones, infinities become NaN."""
    model = nn.Conv2d(64, 64, 3, padding=1).eval()
    with torch.no_grad():
        model.weight.zero_()
        model.weight[:, :, 1, 1] = torch.randn(64, 64)
    x = torch.randn(1, 64, 56, 56)
    x[:, :, ::2] *= 1e4
    fast = ts.from_pytorch(model, example_inputs=(x,), strict=True)
    exact = ts.from_pytorch(model, example_inputs=(x,), strict=True, precision="fp32")
    assert any("winograd" in text for text in _schedules(fast))
    assert not any("winograd" in text for text in _schedules(exact))
    with torch.no_grad():
        wanted = copy.deepcopy(model).double()(x.double())
        error = (exact(x) - wanted)[:, :, 1::2].abs().max().item()
        eager = (model(x) - wanted)[:, :, 1::2].abs().max().item()
        assert error <= 4 * eager
        x[0, 3, 5, 6] = float("inf")
        assert torch.equal(exact(x).isnan(), model(x).isnan())


def test_halves_of_few_channels_a_group(cpu: str) -> None:
    """Their values pass through registers one by one, which AVX2 has none of bf16 for."""
    window: dict[str, Any] = {"stride": (2, 1, 2), "padding": (3, 5, 1), "dilation": (1, 2, 2)}
    model = nn.Conv3d(8, 32, (2, 5, 1), groups=8, **window).bfloat16().eval()
    x = torch.randn(1, 8, 12, 12, 10, dtype=torch.bfloat16)
    with torch.no_grad():
        got = ts.from_pytorch(model, example_inputs=(x,), strict=True)(x)
        torch.testing.assert_close(got, model(x))
