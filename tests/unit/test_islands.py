# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What cannot be compiled runs in PyTorch: exactly, visibly, and not under strict."""

from __future__ import annotations

import json
import re
import warnings

import pytest
import torch
from equality import assert_same, convert_and_compare
from models import Branching, BranchingInside, Unconverted, foreign
from torch import nn

import tessera as ts
from tessera.errors import CaptureError, ConversionError
from tessera.report.report import render_text


def test_islands_compute_and_are_reported():
    converted = convert_and_compare(Unconverted(), torch.randn(4, 4))
    report = converted.report
    assert not report.fully_converted
    (island,) = report.islands
    assert {"aten.linalg_ldl_factor.default", "tests.foreign.default"} <= {
        row.op for row in report.unconverted
    }
    for row in report.unconverted:
        assert row.file.endswith("models.py")
        assert row.line > 0
        assert row.reason
    assert island.bytes_in
    assert island.bytes_out


def test_a_node_kept_in_pytorch_for_its_crossings_is_no_unsupported_one():
    report = ts.from_pytorch(Unconverted(), (torch.randn(4, 4),)).report
    (row,) = [row for row in report.nodes if row.status == "kept"]
    assert (row.op, row.code) == ("aten.relu.default", "crossing-cost")
    assert row.reason == "kept in PyTorch: between two islands, crossing costs more"
    assert row not in report.unconverted
    assert not row.kernels
    assert "1 more node kept in PyTorch" in report.summary()


def test_an_expensive_node_between_two_islands_is_compiled():
    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(256, 256)

        def forward(self, x):
            return foreign(self.linear(foreign(x)))

    report = ts.from_pytorch(Wide(), (torch.randn(256, 256),)).report
    assert len(report.islands) == 2
    assert not [row for row in report.nodes if row.status == "kept"]


def test_independent_islands_are_one():
    class Two(nn.Module):
        def forward(self, x):
            left = foreign(x.exp()).sin().sum(0)
            right = foreign(x.cos()).tanh().sum(1)
            return left + right

    report = convert_and_compare(Two(), torch.randn(64, 64, dtype=torch.float64)).report
    assert len(report.islands) == 1


def test_islands_are_counted_as_they_run():
    model = ts.from_pytorch(Unconverted(), (torch.randn(4, 4),))
    (island,) = model.report.islands
    assert (island.calls, island.total_us, island.total_bytes) == (0, 0, 0)
    for _ in range(3):
        model(torch.randn(4, 4))
    (island,) = model.report.islands
    assert island.calls == 3
    assert island.total_us > 0
    assert island.total_bytes == 3 * (island.bytes_in + island.bytes_out)
    assert "so far 3 calls" in str(model.report)
    assert "crossings: 1 time a call" in str(model.report)
    data = json.loads(model.report.to_json())
    assert data["islands"][0]["calls"] == 3
    assert data["crossing_us"] == model.report.crossing_us > 0


def test_an_island_that_gives_a_view_of_its_argument_does_not_give_it_away():
    @ts.compat.register_aten("aten.view")
    def lower(node, ctx):
        raise ts.compat.Unsupported("kept", whole=True)

    class View(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(64, 64))

        def forward(self, x):
            flat = x.view(64, 64)
            return (flat.exp() @ self.weight.view(64, 64).sin()).view(4096), flat

    try:
        model, x = View(), torch.randn(4096)
        weight, kept = model.weight.detach().clone(), x.clone()
        converted = convert_and_compare(model, x)
        assert {row.op for row in converted.report.unconverted} == {"aten.view.default"}
        converted(x)
        assert torch.equal(x, kept)
        assert torch.equal(model.weight, weight)
    finally:
        ts.compat.unregister(lower)


def test_what_stays_python_is_counted():
    model = ts.from_pytorch(Branching(), (torch.ones(4, 4),))
    for _ in range(2):
        model(torch.ones(4, 4))
    assert model.report.islands[0].calls == 2


class Often(nn.Module):
    """Between its islands stands what is worth compiling."""

    def __init__(self, islands, width=256):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(islands))

    def forward(self, x):
        for layer in self.layers:
            x = foreign(layer(x))
        return x


def test_a_model_that_crosses_often_says_so_once(caplog):
    x = torch.randn(256, 256)
    wrapped = ts.compat.wrap(Often(9))
    with torch.no_grad():
        wrapped(x)
        wrapped(torch.cat([x, x]))
    (record,) = [item for item in caplog.records if item.name == "tessera.islands"]
    text = record.getMessage()
    assert "leaves compiled code for PyTorch 9 times" in text
    assert "tests.foreign.default" in text
    assert "islands 0, 1, 2 and 6 more" in text
    assert "register_aten" in text
    caplog.clear()
    ts.from_pytorch(Often(3), (x,))
    assert not [item for item in caplog.records if item.name == "tessera.islands"]


def test_text_and_json_say_of_each_node_what_became_of_it():
    report = ts.from_pytorch(Unconverted(), (torch.randn(4, 4),)).report
    text = render_text(report, nodes=True)
    data = json.loads(report.to_json())
    assert len(data["nodes"]) == len(report.nodes)
    for row, saved in zip(report.nodes, data["nodes"], strict=True):
        assert (saved["node"], saved["status"], saved["reason"]) == (
            row.node,
            row.status,
            row.reason,
        )
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {row.node} = ")]
        assert f": {row.status}" in line
        assert row.reason in line


def test_complex_values_cross_into_islands_and_back():
    class Complex(nn.Module):
        def forward(self, x, z):
            values = torch.linalg.eigvals(x * z) * z.sum()
            return torch.linalg.eigvals(torch.diag(values.conj())), values.abs() + 1

    x, z = torch.randn(4, 4), torch.randn(4, 4, dtype=torch.complex64)
    converted = convert_and_compare(Complex(), x, z)
    assert [row.ops for row in converted.report.islands] == [
        ["aten.linalg_eigvals.default"],
        ["aten.linalg_eigvals.default"],
    ]


def test_strict_lists_everything_at_once():
    with pytest.raises(ConversionError) as caught:
        ts.from_pytorch(Unconverted(), (torch.randn(4, 4),), strict=True)
    text = str(caught.value)
    assert isinstance(caught.value, RuntimeError)
    assert "linalg_ldl_factor" in text
    assert "foreign" in text
    assert "models.py:" in text
    assert "register_aten" in text
    assert [row.op for row in caught.value.report.unconverted] == [
        "aten.linalg_ldl_factor.default",
        "tests.foreign.default",
    ]


def test_numbers_and_shapes_that_depend_on_data():
    class Data(nn.Module):
        def forward(self, x):
            return x * x.sum().item() + torch.nonzero(x).float().sum()

    convert_and_compare(Data(), torch.randn(4))


def test_complex_parameters():
    class Rotary(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("turn", torch.polar(torch.ones(2), torch.ones(2)))

        def forward(self, x):
            pairs = torch.view_as_complex((x + 1).reshape(3, 2, 2))
            return torch.view_as_real(pairs * self.turn).flatten(1) * 2

    convert_and_compare(Rotary(), torch.randn(3, 4))


def test_control_flow_operators():
    class Choice(nn.Module):
        def forward(self, x):
            # An index out of range is an error, so only the branch taken may run.
            return torch.cond(x.sum() > 0, lambda y: y[y.long()], lambda y: y - 1, (x * 2,)) + 1

    converted = convert_and_compare(Choice(), torch.ones(3))
    assert_same(converted(-torch.ones(3)), Choice()(-torch.ones(3)))
    assert converted.report.islands[0].code == "control-flow"


def test_a_child_that_cannot_be_captured_is_kept_whole():
    converted = convert_and_compare(BranchingInside(), torch.randn(4, 4))
    first, last = converted.report.capture
    assert not first.succeeded
    assert first.file.endswith("models.py")
    assert "middle" in first.next_rung
    assert last.succeeded
    (island,) = converted.report.islands
    assert (island.fqn, island.code) == ("middle", "capture-failed")


def test_a_root_that_cannot_be_captured_runs_over_compiled_children(caplog):
    model = Branching()
    converted = ts.from_pytorch(model, (torch.ones(4, 4),))
    for x in (torch.ones(4, 4), -torch.ones(4, 4)):
        assert_same(converted(x), model(x))
    report = converted.report
    assert report.mode == "hybrid"
    assert report.children["linear"].fully_converted
    (row,) = report.unconverted
    assert (row.op, row.code) == ("Branching.forward", "capture-failed")
    assert row.file.endswith("models.py")
    assert [attempt.succeeded for attempt in report.capture] == [False, False]
    assert report.capture[0].next_rung == "torch.fx.symbolic_trace"
    assert report.capture[1].next_rung == "module-wise"
    assert "models.py" in caplog.text
    with pytest.raises(ValueError, match="no single program"):
        converted.ir("graph")


def test_below_a_child_that_stays_python_everything_is_compiled():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.inner = nn.Linear(4, 4), BranchingInside()

        def forward(self, x):
            return self.inner(self.first(x)) * 2

    model = Whole()
    converted = ts.from_pytorch(model, (torch.ones(4, 4),))
    for x in (torch.randn(4, 4), -torch.randn(4, 4), torch.ones(4, 4)):
        assert_same(converted(x), model(x))
    report = converted.report
    assert report.mode == "compiled"
    (island,) = report.islands
    assert (island.fqn, island.code) == ("inner.middle", "capture-failed")
    assert "over compiled submodules" in island.reason
    inner = report.children["inner.middle"]
    assert inner.mode == "hybrid"
    assert all(child.fully_converted for child in inner.children.values())
    assert inner.children


def test_strict_capture_lists_everything_else_as_well():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.spectrum = BranchingInside(), Unconverted()

        def forward(self, x):
            return self.inner(x) + self.spectrum(x)

    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.whole, self.norm = Whole(), nn.BatchNorm1d(4)

        def forward(self, x):
            return self.whole(self.norm(x)) if x.sum() > 0 else x

    model, x = Root(), torch.ones(4, 4)
    with pytest.raises(
        CaptureError, match=r"test_islands.py:\d+: torch.export could not"
    ) as raised:
        ts.from_pytorch(model, (x,), strict=True)
    error = raised.value
    assert isinstance(error, ConversionError)
    text = str(error)
    assert re.search(r"Root.forward \(.*test_islands.py:\d+\)", text)
    assert re.search(r"in whole.inner.middle \(.*models.py:\d+\)", text)
    assert re.search(r"foreign.* in whole.spectrum \(.*models.py:\d+\)", text)
    assert error.report.children["whole"].children
    assert model.norm.num_batches_tracked == 0  # the model itself was not called


def test_strict_capture_names_the_line():
    with pytest.raises(CaptureError, match=r"models.py:\d+: torch.export could not capture"):
        ts.from_pytorch(BranchingInside(), (torch.ones(4, 4),), strict=True)


def test_extensions_without_a_fake_kernel():
    library = torch.library.Library("tessera_ext", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: x * 2, "CPU")

    class Extension(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            return self.linear(torch.ops.tessera_ext.twice(self.linear(x))) + 1

    converted = convert_and_compare(Extension(), torch.randn(3, 4))
    assert converted.report.islands[0].code == "extension"
    assert converted.report.mode == "compiled"


def test_functions_outside_of_torch():
    def through_numpy(x):
        return torch.from_numpy(x.detach().numpy() * 2)

    class Numpy(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            return self.linear(through_numpy(self.linear(x))) + 1

    assert convert_and_compare(Numpy(), torch.randn(3, 4)).report.mode == "hybrid"


def test_an_error_inside_an_island_comes_back_and_leaves_the_module_usable():
    library = torch.library.Library("tessera_picky", "DEF")
    library.define("positive(Tensor x) -> Tensor")

    ran = []

    def positive(x):
        ran.append(1)
        if bool((x < 0).any()):
            raise (ValueError if x.min() < -2 else KeyError)("a negative number")
        return x.clone()

    library.impl("positive", positive, "CPU")
    torch.library.register_fake("tessera_picky::positive", torch.empty_like, lib=library)

    class Picky(nn.Module):
        def forward(self, x):
            return torch.ops.tessera_picky.positive(x * 2) + 1

    converted = ts.from_pytorch(Picky(), (torch.ones(3),))
    for _ in range(2):
        assert converted(torch.ones(3)).tolist() == [3, 3, 3]
        with pytest.raises(KeyError, match="negative") as caught:
            converted(-torch.ones(3))
        assert any("tessera_picky.positive" in note for note in caught.value.__notes__)
        assert any(entry.name == "positive" for entry in caught.traceback)
    # Of arguments that fit, the error is not taken for the module's own: nothing runs twice.
    del ran[:]
    with pytest.raises(ValueError, match="negative"):
        converted(-2 * torch.ones(3))
    assert len(ran) == 1


def test_hooks_keep_a_child_in_pytorch_and_run_around_the_root():
    class Hooked(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.second(self.first(x))

    model, seen = Hooked(), []
    model.first.register_forward_hook(lambda module, args, out: seen.append(out) or out + 1)
    model.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    model.register_forward_hook(lambda module, args, out: out * 3)
    x = torch.randn(2, 4)
    converted = ts.from_pytorch(model, (x,))
    assert seen == []
    assert_same(converted(x), model(x))
    assert len(seen) == 2
    (island,) = converted.report.islands
    assert (island.fqn, island.code) == ("first", "forward-hook")


def test_the_users_model_is_never_changed():
    class Caching(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = []
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            self.last = x * 2
            self.seen.append(x)
            if x.sum() > 0:
                return self.linear(x)
            return x

    model = Caching()
    before = dict(vars(model))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ts.from_pytorch(model, (torch.ones(4, 4),))
    assert vars(model).keys() == before.keys()
    assert model.seen == []
    assert model.training


def test_random_islands_draw_what_pytorch_draws():
    class Noisy(nn.Module):
        def forward(self, x):
            return torch.poisson(x * 2) + 1

    x = torch.rand(4, 4)
    converted = ts.from_pytorch(Noisy(), (x,))
    torch.manual_seed(1)
    got = converted(x)
    torch.manual_seed(1)
    assert_same(got, Noisy()(x))


@pytest.mark.parametrize(
    ("function", "compiled"),
    [
        (torch.func.vmap(lambda row: row * row.sum()), True),
        (lambda x: torch.func.jvp(torch.sin, (x,), (x,))[1], True),
        (lambda x: torch.func.grad(lambda y: (y**2).sum())(x), False),
        (lambda x: torch.func.jacrev(torch.sin)(x[0]), False),
    ],
)
def test_transforms_of_functions(function, compiled):
    class Transformed(nn.Module):
        def forward(self, x):
            return function(x * 2) + 1

    converted = convert_and_compare(Transformed(), torch.randn(4, 4))
    assert converted.report.fully_converted == compiled
