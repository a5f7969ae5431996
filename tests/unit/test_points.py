# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Points of kernels: whatever the space has, in any combination, computes the same."""

from __future__ import annotations

import random

import pytest
import torch
from hardware import HAS_AVX512
from torch import nn
from torch.nn import functional as F

import tessera as ts
from tessera import _core
from tessera.tuning.bench import Bench, Refused
from tessera.tuning.point import Point, Space

#: Points drawn of each kernel.
DRAWN = 6


class Product(nn.Module):
    """Edges everywhere: no size is a multiple of a tile's."""

    def __init__(self, rows, depth, columns, *, prepacked, dtype=torch.float32):
        super().__init__()
        self.inputs = [torch.randn(rows, depth).to(dtype)]
        if prepacked:
            self.linear = nn.Linear(depth, columns).to(dtype)
        else:
            self.linear = None
            self.inputs.append(torch.randn(columns, depth).to(dtype))

    def forward(self, x, *w):
        y = self.linear(x) if self.linear is not None else x @ w[0].t()
        return F.gelu(y)


class Function(nn.Module):
    def __init__(self, function, *inputs):
        super().__init__()
        self.function, self.inputs = function, list(inputs)

    def forward(self, *inputs):
        return self.function(*inputs)


class Convolution(nn.Module):
    def __init__(self, layer, *shape):
        super().__init__()
        self.layer, self.inputs = layer, [torch.randn(*shape)]

    def forward(self, x):
        return torch.relu(self.layer(x))


def attention(queries, keys, heads=3, depth=24, dtype=torch.float32, **options):
    q, k, v = (torch.randn(2, heads, n, depth).to(dtype) for n in (queries, keys, keys))
    if options.pop("masked", False):
        options["attn_mask"] = torch.randn(queries, keys).to(dtype)
    return Function(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options), q, k, v)


CASES = {
    "weights": lambda: Product(37, 1100, 70, prepacked=True),
    "weights, few rows": lambda: Product(3, 600, 100, prepacked=True),
    "weights, one row": lambda: Product(1, 700, 90, prepacked=True),
    "weights, bfloat16": lambda: Product(35, 129, 50, prepacked=True, dtype=torch.bfloat16),
    "two inputs": lambda: Product(41, 530, 67, prepacked=False),
    "batches": lambda: Function(torch.matmul, torch.randn(3, 40, 33), torch.randn(3, 33, 45)),
    "transposed": lambda: Function(
        lambda a, b: a.transpose(1, 2) @ b, torch.randn(2, 600, 37), torch.randn(2, 600, 40)
    ),
    "prologue": lambda: Function(
        lambda a, b: torch.sin(a) @ b, torch.randn(50, 90), torch.randn(90, 70)
    ),
    "float64": lambda: Function(
        torch.matmul, torch.randn(20, 700).double(), torch.randn(700, 30).double()
    ),
    "attention": lambda: attention(70, 300),
    "attention, causal": lambda: attention(66, 66, is_causal=True),
    "attention, masked": lambda: attention(21, 530, masked=True),
    "attention, float16": lambda: attention(40, 90, dtype=torch.float16),
    "windows": lambda: Convolution(nn.Conv2d(20, 37, 3, padding=1), 2, 20, 13, 15),
    "windows, strided": lambda: Convolution(nn.Conv2d(18, 30, 3, stride=2), 1, 18, 17, 15),
    "windows of one": lambda: Convolution(nn.Conv2d(40, 50, 1), 1, 40, 9, 11),
    "windows, stem": lambda: Convolution(nn.Conv2d(3, 20, 7, stride=2, padding=3), 1, 3, 33, 31),
    "windows, dilated": lambda: Convolution(nn.Conv2d(16, 16, 3, dilation=2), 1, 16, 14, 13),
    "windows in groups": lambda: Convolution(nn.Conv2d(32, 48, 3, groups=2), 1, 32, 12, 13),
    "channelwise": lambda: Convolution(nn.Conv2d(40, 40, 3, padding=1, groups=40), 1, 40, 19, 21),
    "channelwise, strided": lambda: Convolution(
        nn.Conv2d(24, 24, 5, stride=2, padding=2, groups=24), 2, 24, 15, 18
    ),
    "softmax": lambda: Function(lambda x: torch.softmax(x, -1), torch.randn(40, 333)),
    "norm": lambda: Function(lambda x: F.layer_norm(x, (100,)), torch.randn(33, 100)),
    "columns": lambda: Function(lambda x: x.sum(0), torch.randn(130, 77)),
    "elementwise": lambda: Function(lambda x: torch.tanh(x) * 2, torch.randn(50, 77)),
}


def tunable(model):
    converted = ts.from_pytorch(model.eval(), model.inputs, threads=2, tune="off")
    return _core.tunable_kernels(converted._current.program.compiled)


@pytest.mark.parametrize("name", CASES)
def test_every_point_of_a_space_computes_the_same(name):
    model = CASES[name]()
    kernels = tunable(model)
    assert kernels
    draw = random.Random(name)
    for kernel in kernels:
        bench = Bench(kernel, 2, cold=False)
        space = Space(kernel.space)
        for _ in range(DRAWN):
            values = {key: draw.choice(options) for key, options in space.choices.items()}
            bench.check(bench.default.changed(**values))  # Refused where it computes otherwise


def test_a_store_s_points_are_used_and_give_the_model_s_results(monkeypatch):
    model = Product(37, 1100, 70, prepacked=True).eval()
    (kernel,) = tunable(model)
    default = Point.default(kernel)
    point = default.changed(nr="48", mr="4", kc="512", packA="true")
    table = _core.PointTable({kernel.key: str(point)})
    monkeypatch.setattr("tessera.tuning.stored._table", lambda: table)
    converted = ts.from_pytorch(model, model.inputs, threads=2)
    (launch,) = converted._current.program.compiled.launches
    assert launch.schedule == str(point)
    assert launch.standard == str(default)
    with torch.no_grad():
        torch.testing.assert_close(converted(*model.inputs), model(*model.inputs))
    off = ts.from_pytorch(model, model.inputs, threads=2, tune="off")
    assert off._current.program.compiled.launches[0].schedule == str(default)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mr = 8",
        "#schedule.contraction<mr = 8>",
        "#schedule.nothing<x = 1>",
        "#schedule.placement<arena, 0>",
        "#schedule.elementwise<lanes = 64, grain = 3>",
        "#schedule.elementwise<lanes = -1, grain = 16384>",
        "#schedule.elementwise<lanes = 64, grain = 16384> loc(unknown)",
        "#schedule.rows<lanes = 64, lanesAlongReduction = true, grain = 1, prefetchRow = true>",
        "dense<0> : tensor<4xi64>",
        "#schedule.elementwise<lanes = " + "9" * 5000 + ">",
    ],
)
def test_points_that_are_not_legal_are_refused_and_ignored_where_stored(text, monkeypatch):
    model = CASES["elementwise"]()
    (kernel,) = tunable(model)
    with pytest.raises(RuntimeError, match=r"is no point|not legal"):
        _core.compile_kernel(kernel.module, text)
    assert _core.predict_points(kernel.module, [text]) == [-1.0]
    with pytest.raises(Refused):
        Bench(kernel, 1, cold=False).check(Point(text, ()))
    table = _core.PointTable({kernel.key: text})
    monkeypatch.setattr("tessera.tuning.stored._table", lambda: table)
    converted = ts.from_pytorch(model, model.inputs, threads=2)
    assert converted._current.program.compiled.launches[0].schedule == kernel.standard


def test_a_kernel_is_told_apart_by_its_shapes_and_threads():
    keys = {
        _core.tunable_kernels(
            ts.from_pytorch(model, model.inputs, threads=threads)._current.program.compiled
        )[0].key
        for model in (CASES["elementwise"](), Function(torch.tanh, torch.randn(50, 78)))
        for threads in (1, 2)
    }
    assert len(keys) == 4


def test_equal_layers_are_one_kernel():
    model = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.ReLU()) for _ in range(3)])
    converted = ts.from_pytorch(model.eval(), (torch.randn(16, 64),))
    (kernel,) = _core.tunable_kernels(converted._current.program.compiled)
    assert kernel.launches == 3
    assert {origin.fqn for origin in kernel.origins} >= {"0.0", "1.0", "2.0"}


def test_the_model_prefers_tiles_that_fit_to_tiles_of_one_row():
    (kernel,) = tunable(Product(512, 512, 512, prepacked=True))
    default = Point.default(kernel)
    good, bad = _core.predict_points(
        kernel.module, [str(default), str(default.changed(mr="1", nr="16"))]
    )
    assert 0 < good < bad


def test_a_panel_is_as_wide_as_leaves_least_of_it_empty():
    if not HAS_AVX512:
        pytest.skip("there are registers for two vectors only")
    widths = {
        columns: dict(tunable(Product(100, 64, columns, prepacked=True))[0].parameters)["nr"]
        for columns in (24, 40, 48, 64, 160)
    }
    assert widths == {24: "32", 40: "48", 48: "48", 64: "32", 160: "32"}


def test_what_a_tuner_may_not_choose_may_not_be_left_out_either():
    """A default that is not printed would be another choice."""
    (kernel,) = tunable(Product(64, 64, 64, prepacked=True, dtype=torch.bfloat16))
    if "pairs = true" not in kernel.standard:
        pytest.skip("this machine multiplies no pairs")
    text = kernel.standard.replace(", pairs = true", "")
    assert text != kernel.standard
    with pytest.raises(RuntimeError, match="pairs is left out"):
        _core.compile_kernel(kernel.module, text)
