# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ts.jit: the same code uncompiled and compiled."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest
import torch
from equality import assert_same
from torch import nn

import tessera as ts
from tessera.errors import ArgumentError, ArgumentTypeError, ConversionError


def same(got, want):
    """Of either kind, and of the same kind."""
    assert type(got) is type(want)
    assert_same(*(torch.from_dlpack(x) if isinstance(x, ts.Tensor) else x for x in (got, want)))


class Linear(ts.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width), requires_grad=False)
        self.gain = 2.0

    def forward(self, x):
        return ts.nn.linear(x, self.weight) * self.gain


class Net(ts.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Linear(), Linear()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.update_buffer("calls", self.calls + 1)
        return self.second(ts.ops.relu(self.first(x))) + self.calls


@pytest.mark.parametrize("kind", [ts.from_torch, lambda x: x])
def test_functions(kind):
    def function(x, y, scale=2.0, *, dim=0):
        h = ts.nn.gelu(x) * scale + y
        return {"sum": h.sum(dim), "all": (h.T, [x, 3])}

    jitted = ts.jit(function)
    x, y = kind(torch.randn(4, 8)), kind(torch.randn(8))
    for _ in range(3):
        got, want = jitted(x, y, dim=1), function(x, y, dim=1)
        same(got["sum"], want["sum"])
        same(got["all"][0], want["all"][0])
        assert got["all"][1][0] is x
        assert got["all"][1][1] == 3
    assert jitted.programs == 1
    same(jitted(x, y, 3.0)["sum"], function(x, y, 3.0)["sum"])
    assert jitted.programs == 2
    assert jitted.report.fully_converted
    assert {row.source.split(":")[0] for row in jitted.report.nodes} == {"test_jit.py"}
    assert "graph.gelu" in jitted.ir("graph")
    jitted.explain()
    assert jitted.profile(x, y).kernels[0].measured_us is not None
    assert "function" in repr(jitted)


def test_indexing_and_methods_are_those_of_tensors():
    def function(x, index):
        head, *tail = x
        return (
            x[1],
            x[:, 1:, None],
            x[..., -1],
            x[::2, index],
            x[[0, 2]],
            x[0, index, 1:],
            x.mT[1].relu().sum(),
            head + tail[-1],
            x.reshape(-1)[x.numel() - 1] + len(x),
            x.size(0) + x.dim(),
        )

    x, index = ts.from_torch(torch.randn(3, 4, 5)), ts.from_torch(torch.tensor([3, 0]))
    jitted = ts.jit(function, strict=True)
    for got, want in zip(jitted(x, index), function(x, index), strict=True):
        same(got, want)


def test_decorated_with_options_and_inlined():
    @ts.jit(strict=True)
    def inner(x):
        return x + 1

    @ts.jit(strict=True)
    def outer(x):
        return inner(x) * 2

    x = torch.randn(3)
    same(outer(x), (x + 1) * 2)
    assert inner.programs == 0
    assert inner.__name__ == "inner"


def test_modules_and_their_state():
    torch.manual_seed(0)
    net, other = Net(), Net()
    other.load_state_dict(net.state_dict())
    jitted = ts.jit(net)
    assert list(jitted.state_dict()) == list(net.state_dict())
    for _ in range(3):
        x = torch.randn(2, 4)
        same(jitted(x), other(x))
    assert float(net.calls) == float(other.calls) == 3
    assert jitted.programs == 1
    assert [name for name in ("first", "second") if f'"{name}.weight"' in jitted.ir()]
    # Written in place, replaced, changed.
    for model in (net, other):
        model.first.weight.fill_(0.5)
    same(jitted(x), other(x))
    assert jitted.programs == 1
    weight = nn.Parameter(torch.ones(4, 4), requires_grad=False)
    net.second.weight = other.second.weight = weight
    same(jitted(x), other(x))
    jitted.first.gain = other.first.gain = 3.0
    same(jitted(x), other(x))
    net.first = other.first = Linear()
    same(jitted(x), other(x))
    assert jitted.programs == 4
    assert {row.fqn for row in jitted.report.nodes} == {"", "first", "second"}


def test_modes_are_two_programs():
    class Mode(ts.Module):
        def forward(self, x):
            return x * 2 if self.training else x * 3

    jitted = ts.jit(Mode())
    x = torch.ones(2)
    for _ in range(3):
        assert jitted.train()(x).tolist() == [2, 2]
        assert jitted.eval()(x).tolist() == [3, 3]
    assert jitted.programs == 2


def test_other_attributes_are_watched():
    class Scaled(ts.Module):
        def __init__(self):
            super().__init__()
            self.scales, self.function = (2.0, 3.0), ts.ops.relu

        def forward(self, x):
            extra = getattr(self, "extra", 0.0)
            return self.function(x) * self.scales[0] + extra

    model = Scaled()
    jitted, x = ts.jit(model, strict=True), torch.tensor([-1.0, 2.0])
    assert jitted(x).tolist() == [0, 4]
    model.scales = (5.0,)
    assert jitted(x).tolist() == [0, 10]
    jitted.function = ts.ops.abs
    assert jitted(x).tolist() == [5, 10]
    model.extra = 1.0
    assert jitted(x).tolist() == [6, 11]
    del model.extra
    assert jitted(x).tolist() == [5, 10]


def test_forms_of_every_kind_of_argument():
    @ts.jit(strict=True)
    def function(x, *rest, scale, table=None, **more):
        total = x
        for item in rest:
            total = total + item
        return total * scale + (table or {"a": 0})["a"] + sum(more.values())

    x = torch.ones(2)
    assert function(x, scale=2).tolist() == [2, 2]
    assert function(x, x, 3, scale=2.0).tolist() == [10, 10]
    assert function(x, scale=2, table={"a": 4}, b=1, c=2).tolist() == [9, 9]
    assert function(x, scale=2, table={"a": 5}, b=1, c=2).tolist() == [10, 10]
    assert function(x, scale=-0.0).tolist() == [0, 0]
    assert function(x, scale=True).dtype == torch.float32
    assert function(torch.ones(2, dtype=torch.int64), scale=True).dtype == torch.int64
    with pytest.raises(TypeError, match="scale"):
        function(x)


def test_methods():
    class Stepper(ts.Module):
        def __init__(self, start):
            super().__init__()
            self.weight = nn.Parameter(torch.full((2,), start), requires_grad=False)

        @ts.jit
        def step(self, x):
            """One step."""
            return x * self.weight

    one, two = Stepper(1.0), Stepper(2.0)
    x = torch.ones(2)
    for _ in range(2):
        assert one.step(x).tolist() == [1, 1]
        assert two.step(x).tolist() == [2, 2]
    assert one.step.programs == two.step.programs == 1
    assert one.step.__doc__ == "One step."
    one.weight.fill_(5)
    assert one.step(x).tolist() == [5, 5]
    three = copy.deepcopy(two)
    three.weight.fill_(7)
    assert (three.step(x).tolist(), two.step(x).tolist()) == ([7, 7], [2, 2])
    bound = ts.jit(three.step)
    assert bound(x).tolist() == [7, 7]


def test_modules_among_the_arguments():
    @ts.jit(strict=True)
    def run(model, x):
        return model(x) + 1

    model, x = Linear(), torch.randn(2, 4)
    same(run(model, x), model(x) + 1)
    model.weight.zero_()
    same(run(model, x), model(x) + 1)
    assert run.programs == 1
    assert '"model.weight"' in run.ir()


def test_tensors_from_outside_are_read_at_each_call():
    shift = torch.ones(2)
    native = ts.from_torch(torch.ones(2))

    @ts.jit(strict=True)
    def function(x):
        # Computed from weights alone, hence in each call too.
        return x + ts.ops.mul(shift, 2) + ts.ops.exp(native)

    x = torch.zeros(2)
    assert isinstance(function(x), ts.Tensor)
    shift += 1
    torch.from_dlpack(native).zero_()
    assert function(x).torch().tolist() == [5, 5]


def test_what_pytorch_computes_meanwhile_would_be_stale(caplog):
    shift = torch.ones(2)

    @ts.jit
    def function(x):
        return x + shift.exp()

    x = torch.zeros(2)
    for _ in range(2):
        same(function(x), shift.exp())
        shift += 1
    assert function.report.unconverted[0].code == "torch-call"
    assert "runs uncompiled" in caplog.text
    assert function.programs == 0


def test_a_module_that_looks_at_data_is_an_island():
    class Branch(ts.Module):
        def forward(self, x):
            return x + 1 if float(x.sum()) > 0 else x - 1

    class Whole(ts.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.branch = Linear(), Branch()

        def forward(self, x):
            return self.branch(self.linear(x)) * self.branch(x)

    model = Whole()
    jitted = ts.jit(model)
    for x in (torch.ones(2, 4), -torch.ones(2, 4), torch.randn(2, 4)):
        same(jitted(x), model(x))
    assert jitted.programs == 1
    rows = jitted.report.unconverted
    assert {row.fqn for row in rows} == {"branch"}
    assert "as a Python number" in rows[0].reason
    assert "test_jit.py" in jitted.report.capture[0].file
    with pytest.raises(ConversionError, match=r"branch.*Python number") as raised:
        ts.jit(model, strict=True)(x)
    assert len(raised.value.report.unconverted) == 2


def test_the_guides_compat_module_is_an_island():
    class CompatModule(ts.Module):
        def __init__(self, torch_mod):
            super().__init__()
            self.torch_mod = torch_mod.eval()

        def forward(self, *tensors):
            torch_args = [torch.utils.dlpack.from_dlpack(ts.to_dlpack(t)) for t in tensors]
            with torch.no_grad():
                return ts.from_dlpack(torch.utils.dlpack.to_dlpack(self.torch_mod(*torch_args)))

    class Whole(ts.Module):
        def __init__(self):
            super().__init__()
            self.inner = CompatModule(nn.Linear(4, 4))
            self.wrapped = ts.compat.wrap(nn.Linear(4, 4))

        def forward(self, x):
            return self.wrapped(self.inner(x + 1)) * 2

    model = Whole()
    jitted = ts.jit(model)
    x = ts.from_torch(torch.randn(2, 4))
    for _ in range(3):
        same(jitted(x), model(x))
    assert model.wrapped.calls == 6  # three of them uncompiled
    status = {row.fqn: row.status for row in jitted.report.nodes if row.island is not None}
    assert status == {"inner": "island", "wrapped": "opaque"}


def test_modules_that_count_their_calls_do_so():
    class Counting(ts.Module):
        def __init__(self):
            super().__init__()
            self.count, self.seen = 0, []

        def forward(self, x):
            self.count += 1
            self.seen.append(self.count)
            return x * 2

    class Whole(ts.Module):
        def __init__(self):
            super().__init__()
            self.inner = Counting()

        def forward(self, x):
            return self.inner(x) + 1

    jitted = ts.jit(Whole())
    x = torch.ones(2)
    for _ in range(4):
        assert jitted(x).tolist() == [3, 3]
    assert (jitted.inner.count, jitted.inner.seen) == (4, [1, 2, 3, 4])
    assert jitted.report.unconverted[0].code == "state"

    root = ts.jit(Counting())
    for _ in range(3):
        root(x)
    assert root.count == 3


def test_a_module_that_keeps_a_tensor_runs_as_it_is():
    class Keeps(ts.Module):
        def forward(self, x):
            self.last = x + 1
            return self.last * 2

    model = Keeps()
    jitted = ts.jit(model)
    for value in (1.0, 2.0):
        x = torch.full((2,), value)
        same(jitted(x), (x + 1) * 2)
        same(model.last, x + 1)


def test_random_numbers_are_drawn_in_each_call():
    class Noisy(ts.Module):
        def forward(self, x):
            return ts.nn.dropout(x, 0.5, self.training)

    class Whole(ts.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = Noisy(), Noisy()

        def forward(self, x):
            return self.two(self.one(x) + 0)

    jitted = ts.jit(Whole())
    x = torch.ones(64)
    results = [jitted(x) for _ in range(4)]
    assert not any(torch.equal(results[0], other) for other in results[1:])
    assert jitted.eval()(x).tolist() == x.tolist()


def test_errors_are_the_functions_own():
    @ts.jit
    def function(x, y):
        return x @ y

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        function(torch.ones(2, 3), torch.ones(2, 3))
    with pytest.raises(ValueError, match="do not fit"):
        function(ts.ops.ones(2, 3), ts.ops.ones(2, 3))
    assert function(torch.ones(2, 3), torch.ones(3, 2)).shape == (2, 2)

    @ts.jit
    def fails(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fails(torch.ones(2))


def test_strict_says_why():
    @ts.jit(strict=True)
    def function(x):
        if x.sum() > 0:
            return x
        return -x

    with pytest.raises(ConversionError, match=r"test_jit.py:\d+\): the truth of a tensor"):
        function(torch.ones(2))


def test_a_bounded_number_of_forms(caplog):
    jitted = ts.jit(lambda x: x * 2, max_signatures=2)
    for rows in (1, 2, 3, 4, 1):
        assert jitted(torch.ones(rows)).tolist() == [2.0] * rows
    assert jitted.programs == 2
    assert len([r for r in caplog.records if "more than 2 forms" in r.message]) == 1
    strict = ts.jit(lambda x: x * 2, max_signatures=1, strict=True)
    strict(torch.ones(1))
    with pytest.raises(ArgumentError, match=r"more than 1 forms.*float32\[2\]"):
        strict(torch.ones(2))


def test_results_are_fresh_memory():
    jitted = ts.jit(lambda x: (x.reshape(-1), x + 0, x.clone(), x))
    x = torch.ones(2, 2)
    for _ in range(3):
        flat, plus, cloned, itself = jitted(x)
        assert itself is x
        for result in (flat, plus, cloned):
            result.zero_()
        assert x.sum() == 4
    y = torch.randn(4, 4).T  # strided
    assert_same(jitted(y)[0], y.reshape(-1))


def test_kinds_of_tensors_mix():
    @ts.jit
    def function(x, y):
        return x + y

    x = torch.ones(2)
    assert isinstance(function(x, x), torch.Tensor)
    for args in ((ts.from_torch(x), x), (x, ts.from_torch(x)), (ts.from_torch(x),) * 2):
        assert isinstance(function(*args), ts.Tensor)
        assert function(*args).tolist() == [2, 2]


def test_no_arguments_and_no_operators():
    assert ts.jit(lambda: 3)() == 3
    assert ts.jit(lambda: ts.ops.ones(2) + 1)().tolist() == [2, 2]
    weight = nn.Parameter(torch.ones(2), requires_grad=False)
    jitted = ts.jit(lambda: ts.ops.mul(weight, 2))
    assert jitted().tolist() == [2, 2]
    assert isinstance(jitted(), torch.Tensor)
    assert ts.jit(lambda x: (x, None, {"a": weight}))(weight)[2]["a"] is weight


def test_gradients_are_refused():
    jitted = ts.jit(lambda x: x * 2)
    x = torch.ones(2, requires_grad=True)
    for _ in range(2):
        with pytest.raises(ArgumentError, match="requires grad"):
            jitted(x)
        with torch.no_grad():
            assert jitted(x).tolist() == [2, 2]


def test_parameters_that_could_have_gradients():
    class Trainable(ts.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 2))

        def forward(self, x):
            return ts.nn.dropout(ts.nn.linear(x, self.weight), 0.5, self.training)

    jitted = ts.jit(Trainable())
    assert jitted(torch.ones(2)).shape == (2,)  # uncompiled, since the root draws random numbers
    assert jitted.eval()(torch.ones(2)).tolist() == [2, 2]
    x = torch.ones(2, requires_grad=True)
    for mode in (True, False):
        with pytest.raises(ArgumentError, match="requires grad"):
            jitted.train(mode)(x)


def test_copies():
    jitted = ts.jit(Net())
    x = torch.randn(2, 4)
    before = jitted(x)
    for other in (copy.deepcopy(jitted), pickle.loads(pickle.dumps(ts.jit(Linear())))):
        assert other.programs == 0
        other(x)
    assert float(jitted.calls) == 1
    same(before, jitted(x) - 1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ts.jit(nn.ReLU()), ArgumentTypeError, "PyTorch module"),
        (lambda: ts.jit(3), ArgumentTypeError, "not 3"),
        (lambda: ts.jit(Net), ArgumentTypeError, "decorate the method"),
        (lambda: ts.jit(ts.compat.wrap(nn.ReLU())), ArgumentTypeError, "compiled already"),
        (lambda: ts.jit(max_signatures=0), ArgumentError, "max_signatures must be a positive"),
        (lambda: ts.jit(Net(), threads="two"), ArgumentError, "threads must be an integer from 1"),
        (lambda: ts.jit(lambda x: x).report, ArgumentError, "before the first call"),
        (lambda: Net().update_buffer("none", 1), ArgumentError, "no buffer 'none'"),
        (lambda: Net().update_buffer("calls", torch.ones(3)), ArgumentError, "cannot hold"),
    ],
)
def test_wrong_uses_say_so(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_jitted_modules_in_a_converted_model():
    class Torch(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x):
            return self.inner(x) + 1

    model = Torch()
    tess = ts.from_pytorch(model, (torch.ones(2, 4),))
    tess.inner = ts.jit(Linear())
    x = torch.randn(2, 4)
    with torch.no_grad():
        same(tess(x), tess.inner(x) + 1)


def test_threads_share_a_jitted_function():
    from concurrent.futures import ThreadPoolExecutor

    jitted = ts.jit(Net())
    xs = [torch.randn(rows % 3 + 1, 4) for rows in range(24)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda x: jitted(x).shape, xs))
    assert results == [x.shape for x in xs]


def test_warnings_name_the_line(caplog):
    @ts.jit
    def function(x):
        return x.tolist()

    with caplog.at_level(logging.WARNING, "tessera.jit"):
        assert function(torch.ones(2)) == [1, 1]
        function(torch.ones(2))
    (record,) = caplog.records
    assert "test_jit.py:" in record.getMessage()
    assert "as a Python number" in record.getMessage()


def test_every_call_gives_tensors_of_the_kind_it_was_given():
    class Opaque(ts.Module):
        def forward(self, x):
            return ts.from_torch(torch.from_dlpack(x) * 2)

    class Around(ts.Module):
        def __init__(self):
            super().__init__()
            self.inner = Opaque()

        def forward(self, x, state):
            return {"y": ts.ops.relu(self.inner(x)), "rest": [x, state["h"]], "n": 3}

    for convert, kind in ((torch.clone, torch.Tensor), (ts.from_torch, ts.Tensor)):
        jitted = ts.jit(Around())
        x, h = convert(torch.randn(3)), convert(torch.randn(3))
        for _ in range(3):
            result = jitted(x, {"h": h})
            assert isinstance(result["y"], kind)
            assert result["rest"][0] is x
            assert result["rest"][1] is h
            assert (type(result["rest"]), result["n"]) == (list, 3)


def test_pytorchs_functions_are_pointed_to_ours():
    jitted = ts.jit(lambda x: torch.relu(x))
    x = torch.randn(3)
    assert_same(jitted(x), x.relu())
    assert "call those of ts.ops and ts.nn" in jitted.report.islands[0].remedy
