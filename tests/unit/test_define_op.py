# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators of one's own over ts.ops: in PyTorch, in captures, in ts.jit, by themselves."""

from __future__ import annotations

import re

import pytest
import torch
from equality import assert_same
from torch import nn

import tessera as ts
from tessera.errors import RegistrationError
from tessera.lowering.registry import registry


@pytest.fixture
def define():
    made = []

    def defined(*args, **kwargs):
        def decorate(function):
            made.append(ts.compat.define_op(*args, **kwargs)(function))
            return made[-1]

        return decorate

    yield defined
    for operator in made:
        operator.unregister()


def swiglu_of(x, beta=1.0):
    first, second = x.chunk(2, -1)
    return first * torch.sigmoid(beta * first) * second


@pytest.fixture
def swiglu(define):
    @define(
        "tessera_own::swiglu(Tensor x, float beta=1.0) -> Tensor",
        shape=lambda x, beta=1.0: ((*x.shape[:-1], x.shape[-1] // 2), x.dtype),
    )
    def swiglu(x, beta=1.0):
        """A gated activation."""
        first, second = ts.ops.chunk(x, 2, -1)
        return first * ts.ops.sigmoid(first * beta) * second

    return swiglu


class Model(nn.Module):
    def __init__(self, call) -> None:
        super().__init__()
        self.call = call
        self.up, self.down = nn.Linear(4, 8), nn.Linear(4, 4)

    def forward(self, x):
        return self.down(self.call(self.up(x)))


def test_it_runs_on_tensors_of_either_kind(swiglu):
    x = torch.randn(3, 8)
    for beta in (1.0, 2.0):
        want = swiglu_of(x, beta)
        assert_same(swiglu(x, beta), want)
        assert_same(torch.ops.tessera_own.swiglu(x, beta=beta), want)
        got = swiglu(ts.from_torch(x), beta=beta)
        assert isinstance(got, ts.Tensor)
        assert_same(got.torch(), want)
        assert_same(ts.ops.swiglu(ts.from_torch(x), beta).torch(), want)
    assert swiglu.__doc__ == "A gated activation."
    assert "tessera_own::swiglu" in repr(swiglu)


def test_it_is_built_into_captured_models(swiglu):
    x = torch.randn(3, 4)
    for call in (swiglu, torch.ops.tessera_own.swiglu, lambda x: swiglu(x, beta=0.5)):
        model = Model(call)
        tess = ts.from_pytorch(model, (x,), strict=True)
        with torch.no_grad():
            assert_same(tess(x), model(x), rtol=1e-5, atol=1e-6)
        (row,) = [row for row in tess.report.nodes if "swiglu" in row.op]
        assert row.status == "compiled"
        assert re.search(r"graph\.(silu|sigmoid)", tess.ir("graph"))


def test_it_is_built_into_jitted_functions_and_other_operators(swiglu, define):
    @define("tessera_own::double_swiglu(Tensor x) -> Tensor")
    def double_swiglu(x):
        return swiglu(x) * 2

    x = torch.randn(3, 8)
    jitted = ts.jit(lambda x: double_swiglu(x) + 1, strict=True)
    assert_same(jitted(x), swiglu_of(x) * 2 + 1)
    assert re.search(r"graph\.(silu|sigmoid)", jitted.ir())
    assert_same(double_swiglu(x), swiglu_of(x) * 2)
    # Its form is found by building it while PyTorch captures without data.
    x = torch.randn(3, 4)
    model = Model(double_swiglu)
    tess = ts.from_pytorch(model, (x,), strict=True)
    with torch.no_grad():
        assert_same(tess(x), model(x), rtol=1e-5, atol=1e-6)


def test_lowerings_call_it_by_its_name_in_ts_ops(swiglu):
    library = torch.library.Library("tessera_own_guide", "DEF")
    library.define("my_custom_op(Tensor x, *, float beta) -> Tensor")
    library.impl("my_custom_op", swiglu_of, "CompositeExplicitAutograd")
    torch.library.register_fake(
        "tessera_own_guide::my_custom_op",
        lambda x, beta: x.new_empty(*x.shape[:-1], x.shape[-1] // 2),
        lib=library,
    )

    @ts.compat.register_aten("tessera_own_guide.my_custom_op")
    def lower_my_custom_op(node, ctx):
        return ts.ops.swiglu(*ctx.get_inputs(node), **node.kwargs)

    try:
        model = Model(lambda x: torch.ops.tessera_own_guide.my_custom_op(x, beta=2.0))
        x = torch.randn(3, 4)
        tess = ts.from_pytorch(model, (x,), strict=True)
        with torch.no_grad():
            assert_same(tess(x), model(x), rtol=1e-5, atol=1e-6)
    finally:
        ts.compat.unregister(lower_my_custom_op)


def test_under_torch_compile(swiglu):
    torch._dynamo.reset()
    model = Model(torch.ops.tessera_own.swiglu)
    fast = torch.compile(model, backend="tessera", fullgraph=True)
    x = torch.randn(3, 4)
    with torch.no_grad():
        assert_same(fast(x), model(x), rtol=1e-5, atol=1e-6)
    assert ts.compat.compiled_graphs()[-1].report.fully_converted


def test_with_dynamic_shapes(define):
    @define("tessera_own::gated(Tensor x) -> Tensor", shape=lambda x: (x.shape, x.dtype))
    def gated(x):
        return x * ts.ops.sigmoid(x) + 1

    class Gated(nn.Module):
        def forward(self, x):
            return gated(x) * 2

    model, x = Gated(), torch.randn(3, 4)
    batch = torch.export.Dim("batch", min=1, max=64)
    tess = ts.from_pytorch(model, (x,), strict=True, dynamic_shapes={"x": {0: batch}})
    with torch.no_grad():
        for rows in (3, 5, 64):
            x = torch.randn(rows, 4)
            assert_same(tess(x), model(x), rtol=1e-5, atol=1e-6)


def test_several_results_and_annotations_for_a_schema(define):
    @define("tessera_own::parts")
    def parts(x: torch.Tensor, dim: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        return x.sum(dim), x.amax(dim)

    x = torch.randn(3, 4)
    assert_same(parts(x, 1), (x.sum(1), x.amax(1)))
    total, largest = ts.ops.parts(ts.from_torch(x))
    assert_same(total.torch(), x.sum(0))
    assert_same(largest.torch(), x.amax(0))

    class Both(nn.Module):
        def forward(self, x):
            total, largest = torch.ops.tessera_own.parts(x, 1)
            return total + largest

    assert_same(ts.from_pytorch(Both(), (x,), strict=True)(x), x.sum(1) + x.amax(1))


def test_pytorchs_own_checks(swiglu):
    x = torch.randn(3, 8)
    tests = ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.tessera_own.swiglu.default, (x,), test_utils=tests)


def test_what_does_not_build_stays_in_pytorch(define):
    @define("tessera_own::looks(Tensor x) -> Tensor", shape=lambda x: torch.empty_like(x))
    def looks(x):
        return x * 2 if float(x.sum()) > 0 else x * 3

    class Looks(nn.Module):
        def forward(self, x):
            return torch.ops.tessera_own.looks(x) + 1

    x = torch.ones(3)
    tess = ts.from_pytorch(Looks(), (x,))
    for value in (x, -x):
        assert_same(tess(value), Looks()(value))
    (row,) = tess.report.unconverted
    assert "as a Python number" in row.reason


def test_a_shape_function_that_is_wrong(define):
    answers = [lambda x: ((7,), x.dtype)]

    @define("tessera_own::shaped(Tensor x) -> Tensor", shape=lambda x: answers[-1](x))
    def shaped(x):
        return x * 2

    class Shaped(nn.Module):
        def forward(self, x):
            return torch.ops.tessera_own.shaped(x)

    message = r"returned float32\[3\] where float32\[7\] is expected"
    with pytest.raises(RegistrationError, match=message):
        ts.from_pytorch(Shaped(), (torch.ones(3),))
    answers.append(lambda x: 3)
    with pytest.raises(RegistrationError, match="shape function of tessera_own::shaped returned 3"):
        shaped._fake(torch.ones(3))


def test_sizes_that_cannot_be_told(define):
    @define("tessera_own::unshaped(Tensor x) -> Tensor")
    def unshaped(x):
        return x * float(x.sum())

    with pytest.raises(RegistrationError, match=r"(?s)cannot be told: .*give it a shape function"):
        unshaped._fake(torch.ones(3))
    assert_same(unshaped(torch.ones(3)), torch.full((3,), 3.0))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("swiglu(Tensor x) -> Tensor", "namespace and name"),
        (3, "namespace and name, not 3"),
        ("a b::c(Tensor x) -> Tensor", "no operator's name"),
        ("tessera_own::relu(Tensor x) -> Tensor", "ts.ops has a function 'relu' already"),
        ("aten::relu(Tensor x) -> Tensor", "there is an operator aten::relu already"),
        ("tessera_own::bad(Tensor x -> Tensor", "tessera_own::bad"),
        ("tessera_own::unannotated", "no schema follows from the annotations"),
    ],
)
def test_names_and_schemas_that_cannot_be(schema, message):
    with pytest.raises(RegistrationError, match=re.escape(message)):
        ts.compat.define_op(schema)(lambda x: x)


def test_other_mistakes():
    with pytest.raises(RegistrationError, match="shape must be a function"):
        ts.compat.define_op("tessera_own::x(Tensor x) -> Tensor", shape=(3,))
    with pytest.raises(RegistrationError, match="decorates a function"):
        ts.compat.define_op("tessera_own::x(Tensor x) -> Tensor")(nn.ReLU)


def test_it_can_be_taken_back():
    @ts.compat.define_op("tessera_own::gone(Tensor x) -> Tensor")
    def gone(x):
        return x + 1

    assert hasattr(ts.ops, "gone")
    gone.unregister()
    assert not hasattr(ts.ops, "gone")
    assert "tessera_own.gone" not in registry
    assert not hasattr(torch.ops.tessera_own, "gone")
