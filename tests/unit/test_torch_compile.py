# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""torch.compile(backend="tessera")."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from models import foreign
from torch import nn

import tessera as ts
from tessera import program
from tessera.errors import ArgumentError, ArgumentTypeError, ConversionError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def built(monkeypatch):
    """The programs built, by name."""
    names = []
    original = program.build_program

    def build(name, *args, **kwargs):
        names.append(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr("tessera.compiling.build_program", build)
    return names


def compiled(function, **options):
    """The function under torch.compile, and the graphs it makes."""
    before = {graph.number for graph in ts.compat.compiled_graphs()}
    result = torch.compile(function, backend="tessera", **options)

    def graphs():
        return [g for g in ts.compat.compiled_graphs() if g.number not in before]

    return result, graphs


class Layer(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.fc = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)
        self.register_buffer("shift", torch.randn(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.norm(self.fc(x)) + self.shift)


def test_the_name_is_known_once_tessera_is_imported():
    code = (
        "import sys, torch, tessera\n"
        "assert 'torch._dynamo' not in sys.modules\n"
        "f = torch.compile(lambda x: x + 1, backend='tessera')\n"
        "assert 'tessera' in torch._dynamo.list_backends()\n"
        "assert f(torch.zeros(2)).tolist() == [1, 1]\n"
        "assert len(tessera.compat.compiled_graphs()) == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_the_entry_point_names_the_backend():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    place = project["entry-points"]["torch_dynamo_backends"]["tessera"]
    module, name = place.split(":")
    assert getattr(importlib.import_module(module), name) is ts.compat.compile_graph


def test_a_model_runs_compiled_over_its_own_parameters(built):
    model = Layer().eval()
    fast, graphs = compiled(model)
    x = torch.randn(4, 8)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x))
        model.fc.weight.add_(1)
        torch.testing.assert_close(fast(x), model(x))
    (graph,) = graphs()
    assert (graph.calls, graph.fallback_calls, len(built)) == (2, 0, 1)
    assert graph.report.fully_converted
    rows = {row.op: row for row in graph.report.nodes}
    assert rows["aten.linear.default"].fqn == "fc"
    assert rows["aten.linear.default"].source.startswith("test_torch_compile.py:")
    assert 'graph.parameter "fc.weight"' in graph.ir("graph")
    assert graph.report.capture[0].rung == "torch._dynamo"
    graph.explain()


@torch._dynamo.config.patch(prepare_freezing=True)
def test_parameters_that_are_no_inputs():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    fast, graphs = compiled(model)
    x = torch.randn(4, 8)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x))
        model[0].weight.zero_()
        torch.testing.assert_close(fast(x), model(x))
    assert all(graph.report.fully_converted for graph in graphs())


def test_equal_layers_share_one_program(built):
    layers = nn.ModuleList(Layer() for _ in range(4)).eval()
    before = len(ts.compat.compiled_graphs())
    for layer in layers:
        layer.compile(backend="tessera")
    x = torch.randn(4, 8)
    with torch.no_grad():
        for _ in range(2):
            for layer in layers:
                torch.testing.assert_close(layer(x), layer.forward(x))
        layers[2].fc.bias.fill_(3)
        torch.testing.assert_close(layers[2](x), layers[2].forward(x))
        layers[1].train()
        layers[1](x)
    assert len(ts.compat.compiled_graphs()) == before + 2
    assert len(built) == 2  # one for each mode


def test_tied_parameters_are_another_program(built):
    def function(x, a, b):
        return x @ a + x @ b

    fast, _ = compiled(function)
    x = torch.randn(3, 3)
    first, second = nn.Parameter(torch.randn(3, 3)), nn.Parameter(torch.randn(3, 3))
    with torch.no_grad():
        for a, b in ((first, first), (first, second), (second, first), (second, second)):
            torch.testing.assert_close(fast(x, a, b), function(x, a, b))


def test_more_parameters_than_are_kept(monkeypatch, caplog):
    monkeypatch.setattr("tessera.compat.dynamo.MAX_BINDINGS", 2)
    fast, graphs = compiled(lambda x, w: x * w)
    x = torch.randn(3)
    with torch.no_grad(), caplog.at_level(logging.WARNING, "tessera.compile"):
        for value in (1.0, 2.0, 3.0, 4.0):
            weight = nn.Parameter(torch.full((3,), value))
            torch.testing.assert_close(fast(x, weight), x * value)
    (graph,) = graphs()
    assert len(graph._bindings) == 2
    assert len([r for r in caplog.records if "sets of parameters" in r.message]) == 1


def test_graph_breaks():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            h = self.one(x)
            if h.sum() > 0:
                return self.two(h)
            return h - 1

    model = Branching().eval()
    fast, graphs = compiled(model)
    with torch.no_grad():
        for x in (torch.randn(3, 4), torch.randn(3, 4) * 9, -torch.randn(3, 4) * 9):
            torch.testing.assert_close(fast(x), model(x))
    assert len(graphs()) >= 2
    reports = [graph.report for graph in graphs()]
    assert all(report.fully_converted for report in reports)
    assert any("generic_jump" in report.capture[0].message for report in reports)


def test_new_shapes_are_new_programs(built):
    model = Layer().eval()
    fast, graphs = compiled(model)
    with torch.no_grad():
        for rows in (4, 5, 6, 5, 4):
            x = torch.randn(rows, 8)
            torch.testing.assert_close(fast(x), model(x))
    assert len(graphs()) == 2  # dynamo's second graph is for all sizes
    assert len(built) <= 4  # a program a size
    assert all(name.startswith("torch.compile graph") for name in built)


def test_a_graph_for_all_sizes_is_captured_once(monkeypatch):
    export, captured = torch.export.export, []
    monkeypatch.setattr(
        torch.export, "export", lambda *args, **kw: captured.append(1) or export(*args, **kw)
    )
    model = Layer().eval()
    fast, _ = compiled(model)
    with torch.no_grad():
        for rows in (4, 5, 6, 7, 9, 12):
            x = torch.randn(rows, 8)
            torch.testing.assert_close(fast(x), model(x))
    # For one size, the first of all sizes, all of them, and the check that these are numbers.
    assert len(captured) <= 4


def test_numbers_among_the_inputs():
    fast, _ = compiled(lambda x, n: x * n + x.shape[0])
    for rows, factor in ((2, 3), (3, 4), (4, 5), (4, 5.5)):
        x = torch.randn(rows)
        torch.testing.assert_close(fast(x, factor), x * factor + rows)


def test_forms_beyond_the_limit_run_in_pytorch(built, caplog):
    fast, _ = compiled(lambda x, n: x * n + 1, dynamic=True, options={"max_signatures": 2})
    with caplog.at_level(logging.WARNING, "tessera.compile"):
        for number in (2, 3, 4, 5, 2):
            x = torch.randn(6)
            torch.testing.assert_close(fast(x, number), x * number + 1)
    assert len(built) == 2
    assert len([r for r in caplog.records if "more than 2 forms" in r.message]) == 1


def test_gradients_are_pytorchs_and_the_report_says_so(caplog):
    model = Layer()
    fast, graphs = compiled(model)
    x = torch.randn(4, 8)
    with caplog.at_level(logging.WARNING, "tessera.compile"):
        fast(x).sum().backward()
        fast(x)
    wanted = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    for parameter, grad in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, grad)
    (graph,) = graphs()
    assert (graph.calls, graph.fallback_calls) == (0, 2)
    (row,) = graph.report.unconverted
    assert row.code == "gradients"
    assert row.source.startswith("test_torch_compile.py:")
    assert len([r for r in caplog.records if "computes gradients" in r.message]) == 1


def test_an_input_that_requires_grad():
    fast, graphs = compiled(lambda x: (x * x).sum())
    x = torch.randn(3, requires_grad=True)
    fast(x).backward()
    torch.testing.assert_close(x.grad, 2 * x.detach())
    with torch.no_grad():
        torch.testing.assert_close(fast(x), (x * x).sum())
    assert sum(graph.calls for graph in graphs()) == 1


def test_inference_mode():
    model = Layer().eval()
    fast, graphs = compiled(model)
    with torch.inference_mode():
        x = torch.randn(4, 8)
        torch.testing.assert_close(fast(x), model(x))
        torch.testing.assert_close(fast(x), model(x))
    assert sum(graph.calls for graph in graphs()) == 2


def test_batch_norm_in_training_updates_its_buffers():
    torch.manual_seed(0)
    model, other = Layer(), Layer()
    other.load_state_dict(model.state_dict())
    fast, _ = compiled(model)
    with torch.no_grad():
        for _ in range(3):
            x = torch.randn(6, 8)
            torch.testing.assert_close(fast(x), other(x))
    for name, buffer in other.named_buffers():
        torch.testing.assert_close(model.get_buffer(name), buffer)


def test_writes_and_views_of_inputs():
    def function(x, y):
        x.add_(1)
        return x.T, y[1:], x * 2

    fast, graphs = compiled(function)
    x, y = torch.randn(2, 3), torch.randn(4)
    wanted = function(x.clone(), y)
    got = fast(x, y)
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(x.T, wanted[0])
    got[1].zero_()
    assert y[1:].tolist() == [0, 0, 0]
    assert sum(graph.calls for graph in graphs()) == 1


def test_random_numbers_follow_the_seed():
    fast, _ = compiled(lambda x: F.dropout(x, 0.5) + torch.rand_like(x))
    x = torch.randn(50)
    torch.manual_seed(3)
    got = fast(x)
    assert not torch.equal(got, fast(x))
    torch.manual_seed(3)
    torch.testing.assert_close(got, fast(x))


def test_what_cannot_be_compiled_is_an_island():
    fast, graphs = compiled(lambda x: foreign(x.relu()) + 1)
    x = torch.randn(2, 8)
    torch.testing.assert_close(fast(x), foreign(x.relu()) + 1)
    (graph,) = graphs()
    assert graph.report.unconverted
    assert not graph.report.fully_converted


def test_inputs_that_only_pytorch_can_hold():
    fast, graphs = compiled(lambda x: x * 2)
    for x in (
        torch.randn(3, dtype=torch.complex64).to(torch.complex32),
        torch.randn(3, 3).to_sparse(),
        torch.randn(3, device="meta"),
    ):
        got = fast(x)
        assert got.device == x.device
        if x.device.type != "meta":
            torch.testing.assert_close(got, x * 2)
    assert all(graph.report.mode == "pytorch" for graph in graphs())


def test_complex_parameters():
    class Complex(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, dtype=torch.complex64))

        def forward(self, x):
            return (x.relu() * self.weight).abs() * 2

    first, second = Complex(), Complex()
    fast = [torch.compile(model, backend="tessera") for model in (first, second)]
    x = torch.randn(3)
    with torch.no_grad():
        for run, model in zip(fast, (first, second), strict=True):
            torch.testing.assert_close(run(x), model(x))


def test_strict_refuses_what_would_run_in_pytorch():
    fast, _ = compiled(foreign, options={"strict": True})
    with pytest.raises(ConversionError, match="foreign"):
        fast(torch.randn(8))
    model = Layer()
    fast, _ = compiled(model, options={"strict": True})
    with pytest.raises(ConversionError, match="gradients"):
        fast(torch.randn(4, 8))
    with torch.no_grad():
        model.eval()
        torch.testing.assert_close(fast(x := torch.randn(4, 8)), model(x))


def test_autocast_regions():
    def function(x, w):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return x @ w

    fast, _ = compiled(function)
    x, w = torch.randn(4, 8), torch.randn(8, 8)
    got = fast(x, w)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got, function(x, w), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"options": {"level": 3}}, ArgumentError, "no option 'level'"),
        ({"options": {"threads": "two"}}, ArgumentTypeError, "'threads' must be a int"),
        ({"options": {"max_signatures": 0}}, ArgumentError, "positive"),
        ({"mode": "max-autotune"}, ArgumentError, "there are no modes"),
    ],
)
def test_options_that_are_none(arguments, error, message):
    fast, _ = compiled(lambda x: x + 1, **arguments)
    # Dynamo wraps what a backend raises.
    with pytest.raises(Exception, match=message) as raised:
        fast(torch.randn(2))
    assert isinstance(raised.value.inner_exception, error)


def test_the_report_before_the_first_call():
    graph = ts.compat.compile_graph(torch.fx.symbolic_trace(nn.ReLU()), [torch.randn(2)])
    with pytest.raises(ArgumentError, match="has not been called"):
        graph.report  # noqa: B018
    with pytest.raises(ArgumentError, match="no program"):
        graph.ir()
    x = torch.randn(2)
    assert torch.equal(graph(x), x.relu())


def test_two_modules_with_the_same_names():
    one, two = nn.Linear(3, 3), nn.Linear(3, 3)

    def function(x):
        return one(two(x)) + one.weight

    fast, graphs = compiled(function)
    x = torch.randn(3, 3)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), function(x))
    assert graphs()[0].report.fully_converted


def test_graphs_are_freed():
    fast, graphs = compiled(Layer().eval())
    with torch.no_grad():
        fast(torch.randn(4, 8))
    assert graphs()
    del fast
    torch._dynamo.reset()
    import gc

    gc.collect()
    assert not graphs()


def test_equal_layers_draw_their_own_random_numbers():
    layers = [nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5)) for _ in range(2)]
    for layer in layers:
        layer.compile(backend="tessera")
    x = torch.ones(4, 8)
    with torch.no_grad():
        for layer in layers:
            first, second = layer(x), layer(x)
            assert not torch.equal(first, second)
            kept = first != 0
            torch.testing.assert_close(first[kept], 2 * layer[0](x)[kept])
