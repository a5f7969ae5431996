# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators whose kernels are in a user's shared library."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import torch
from equality import assert_same
from torch import nn

import tessera as ts
from tessera.errors import ArgumentError, RegistrationError

COMPILER = next(filter(None, map(shutil.which, ("cc", "clang", "clang-22", "gcc"))), None)
pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
SOURCE = Path(__file__).with_name("native_kernels.c")
SCALE = "tessera_native::scale(Tensor x, float factor=2.0, *, int[] shift=[]) -> Tensor"


def build(source: Path, output: Path, *flags: str) -> str:
    include = f"-I{ts.compat.get_include()}"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", include, *flags]
    subprocess.run([*command, str(source), "-o", str(output)], check=True)
    return str(output)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build(SOURCE, tmp_path_factory.mktemp("native") / "libmine.so")


@pytest.fixture
def define(library):
    made = []

    def defined(schema, **options):
        made.append(ts.compat.define_op(schema, library=library, **options))
        return made[-1]

    yield defined
    for operator in made:
        operator.unregister()


@pytest.fixture
def scale(define):
    return define(SCALE, shape=lambda x, factor=2.0, shift=(): (x.shape, x.dtype))


class Model(nn.Module):
    def __init__(self, call) -> None:
        super().__init__()
        self.call = call
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x):
        return self.down(self.call(self.up(x)) + 1)


def test_it_runs_on_tensors_of_either_kind(scale):
    x = torch.randn(3, 4)
    assert_same(scale(x), x * 2)
    assert_same(scale(x.T, 3, shift=[1, 2]), x.T * 3 + 3)
    assert_same(torch.ops.tessera_native.scale(x[:, ::2], shift=[5]), x[:, ::2] * 2 + 5)
    got = ts.ops.scale(ts.from_torch(x), 0.5)
    assert isinstance(got, ts.Tensor)
    assert_same(got.torch(), x * 0.5)
    assert_same(scale(torch.randn(0, 4)), torch.empty(0, 4))
    assert repr(scale) == "<operator tessera_native::scale, scale of libmine.so>"
    assert SCALE in scale.__doc__


def test_captured_models_call_it_inside_their_program(scale):
    x = torch.randn(3, 4)
    for call in (scale, torch.ops.tessera_native.scale, lambda x: scale(x, 0.5, shift=[1])):
        model = Model(call)
        tess = ts.from_pytorch(model, (x,), strict=True)
        with torch.no_grad():
            assert_same(tess(x), model(x), rtol=1e-5, atol=1e-6)
        assert tess.report.fully_converted
        assert tess.report.counts["native"] == 1
        (node,) = [row for row in tess.report.nodes if row.status == "native"]
        assert node.op == "tessera_native.scale.default"
        assert "scale of libmine.so" in node.kernels
        kernels = [row for row in tess.report.kernels if row.kind == "native"]
        assert [row.name for row in kernels] == ["scale of libmine.so"]
        assert re.search(r"native .*scale of libmine\.so", str(tess.report))
        tess.profile(x)
        assert kernels[0].measured_us is not None
        assert "native kernel scale of libmine.so" in tess.ir("graph")
        assert tess.verify(x).ok


def test_the_kernel_sees_the_memory_itself(define):
    address = define(
        "tessera_native::address(Tensor x) -> Tensor", shape=lambda x: ((), torch.int64)
    )
    x = torch.randn(64)
    assert address(x).item() == x.data_ptr()

    class Address(nn.Module):
        def forward(self, x):
            return address(x)

    assert ts.from_pytorch(Address(), (x,), strict=True)(x).item() == x.data_ptr()


def test_jitted_functions_and_other_operators_call_it(scale):
    x = torch.randn(3, 4)
    jitted = ts.jit(lambda x: scale(x * 2, 3.0) + 1, strict=True)
    assert_same(jitted(x), x * 6 + 1)
    assert [row.status for row in jitted.report.nodes].count("native") == 1
    assert any(row.kind == "native" for row in jitted.report.kernels)

    @ts.compat.define_op("tessera_native::over(Tensor x) -> Tensor")
    def over(x):
        return ts.ops.scale(x, shift=[1]) * 2

    try:
        assert_same(over(x), (x * 2 + 1) * 2)
        model = Model(over)
        tess = ts.from_pytorch(model, (x,), strict=True)
        with torch.no_grad():
            assert_same(tess(x), model(x), rtol=1e-5, atol=1e-6)
        assert tess.report.counts["native"] == 1
    finally:
        over.unregister()


def test_lowerings_call_it_by_its_name_in_ts_ops(scale):
    @ts.compat.register_aten("aten.hardswish")
    def lower(node, ctx):
        return ts.ops.scale(*ctx.get_inputs(node), factor=5.0)

    try:
        x = torch.randn(3)
        assert_same(ts.from_pytorch(nn.Hardswish(), (x,), strict=True)(x), x * 5)
    finally:
        ts.compat.unregister(lower)


def test_several_results(define):
    extremes = define(
        "tessera_native::extremes(Tensor x) -> (Tensor, Tensor)",
        shape=lambda x: [((), x.dtype), torch.empty((), dtype=x.dtype)],
    )
    x = torch.randn(5)
    assert_same(extremes(x), (x.amin(), x.amax()))

    class Range(nn.Module):
        def forward(self, x):
            low, high = extremes(x)
            return high - low

    assert_same(ts.from_pytorch(Range(), (x,), strict=True)(x), x.amax() - x.amin())


def test_optional_tensors_and_lists_of_them(define):
    operands = define(
        "tessera_native::operands(Tensor[] xs, Tensor? y=None, Tensor? z=None) -> Tensor",
        shape=lambda xs, y=None, z=None: ((), torch.float32),
    )
    one, two = torch.tensor([1.0]), torch.tensor([2.0])
    assert operands([one, two]).item() == 2003
    assert operands([one], z=two).item() == 1003

    class Operands(nn.Module):
        def forward(self, one, two):
            return operands([one, two, two], two) + operands([], None, one)

    assert ts.from_pytorch(Operands(), (one, two), strict=True)(one, two).item() == 2008


def test_every_kind_of_attribute(define):
    attributes = define(
        "tessera_native::attributes(Tensor x, int a, float b, bool c, str d, Scalar e, int[] f, "
        "float[] g, ScalarType h, int? i=None, float[]? j=None, *, Tensor[] k) -> Tensor",
        shape=lambda x, *_, **__: ((200,), torch.uint8),
    )

    def text(*args, **kwargs):
        return bytes(attributes(torch.zeros(1), *args, **kwargs).tolist()).rstrip(b"\0").decode()

    assert text(3, 2, True, "hé", 1.5, [4, 5], [], torch.bfloat16, k=[]) == (
        "a:1:0:3;b:2:0:2;c:1:0:1;d:3:3:0hé;e:2:0:1.5;f:4:2:4;g:5:0:0;h:3:8:0bfloat16;"
        "i:0:0:0;j:0:0:0;k:1:0:0;"
    )
    rest = text(-1, 0.5, False, "", 7, [], [2.5], torch.int64, 9, [1.0], k=[torch.zeros(2)])
    assert rest.endswith("g:5:1:2.5;h:3:5:0int64;i:1:0:9;j:5:1:1;k:1:0:1;")
    assert "e:1:0:7;f:4:0:0;" in rest


def test_dynamic_shapes(scale):
    class Scaled(nn.Module):
        def forward(self, x):
            return scale(x) * 2

    batch = torch.export.Dim("batch", min=1, max=64)
    x = torch.randn(3, 4)
    tess = ts.from_pytorch(Scaled(), (x,), strict=True, dynamic_shapes={"x": {0: batch}})
    for rows in (3, 5, 64):
        x = torch.randn(rows, 4)
        assert_same(tess(x), x * 4)


def test_under_torch_compile(scale):
    torch._dynamo.reset()
    model = Model(torch.ops.tessera_native.scale)
    fast = torch.compile(model, backend="tessera", fullgraph=True)
    x = torch.randn(3, 4)
    with torch.no_grad():
        assert_same(fast(x), model(x), rtol=1e-5, atol=1e-6)
    assert ts.compat.compiled_graphs()[-1].report.counts["native"] == 1


def test_a_failing_kernel_says_why_and_the_program_goes_on(scale, define):
    message = "native kernel scale of libmine.so failed: x must be float32, not 64 bits of code 2"
    with pytest.raises(RuntimeError, match=message):
        scale(torch.randn(3, 4, dtype=torch.float64))

    class Scaled(nn.Module):
        def forward(self, x):
            return scale(x + 1)

    x = torch.randn(3, 4)
    tess = ts.from_pytorch(Scaled(), (x,), strict=True)
    for _ in range(2):
        message = "native kernel scale of libmine.so failed: x begins with NaN"
        with pytest.raises(RuntimeError, match=rf"Scaled.*{message} \(.*test_native_kernels.py:"):
            tess(x * float("nan"))
        assert_same(tess(x), (x + 1) * 2)

    mute = define(
        "tessera_native::mute(Tensor x) -> Tensor",
        symbol="silent_failure",
        shape=lambda x: (x.shape, x.dtype),
    )
    with pytest.raises(RuntimeError, match=r"silent_failure of libmine\.so failed with status 7"):
        mute(x)


def test_a_shape_function_that_is_wrong(define):
    answer = []
    wrong = define(
        "tessera_native::wrong(Tensor x) -> Tensor", symbol="scale", shape=lambda x: answer[-1](x)
    )

    class Wrong(nn.Module):
        def forward(self, x):
            return wrong(x) + 1

    x = torch.ones(3)
    for given, text in [
        (lambda x: 3, "returned 3"),
        (lambda x: ((-1,), x.dtype), r"returned \(\(-1,\), torch.float32\)"),
        (lambda x: (("a",), x.dtype), r"returned \(\('a',\)"),
        (lambda x: [(x.shape, x.dtype)] * 2, "returned .*for the result"),
        (lambda x: (x.shape, torch.complex64), "says torch.complex64"),
    ]:
        answer.append(given)
        with pytest.raises(RegistrationError, match=f"(?s)shape function of .*wrong {text}"):
            wrong(x)
    answer.append(lambda x: 1 // 0)
    with pytest.raises(ZeroDivisionError) as caught:
        wrong(x)
    assert "raised in the shape function of tessera_native::wrong" in caught.value.__notes__
    answer.append(lambda x: ((7,), x.dtype))
    with pytest.raises(RuntimeError, match=r"native kernel scale of libmine\.so"):
        ts.from_pytorch(Wrong(), (x,), strict=True)(x)
    answer.append(lambda x: (x.shape, x.dtype))


def test_arguments_that_do_not_fit(scale):
    x = torch.randn(3)
    for call in (
        lambda: ts.ops.scale(ts.from_torch(x), 1.0, 2.0),
        lambda: ts.ops.scale(ts.from_torch(x), faktor=2.0),
    ):
        with pytest.raises(ArgumentError, match="takes tessera_native::scale"):
            call()
    with pytest.raises(ArgumentError, match="requires grad, and native kernels compute no grad"):
        scale(x.requires_grad_())
    with torch.no_grad():
        assert_same(scale(x), x * 2)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("int other;", "does not say which version of the interface"),
        ("int tessera_native_abi_version(void) { return 99; }", "compiled for version 99 of the"),
        ("int tessera_native_abi_version(void) { return 1; }", "has no function scale"),
    ],
)
def test_libraries_that_cannot_be_used(tmp_path, code, message):
    source = tmp_path / "other.c"
    source.write_text(code)
    library = build(source, tmp_path / "libother.so")
    with pytest.raises(RegistrationError, match=message):
        ts.compat.define_op(SCALE, library=library, shape=lambda x: x)
    with pytest.raises(RegistrationError, match="cannot be loaded"):
        ts.compat.define_op(SCALE, library=tmp_path / "libmissing.so", shape=lambda x: x)
    assert not hasattr(ts.ops, "scale")


@pytest.mark.parametrize(
    ("schema", "options", "message"),
    [
        ("tessera_native::scale", {"shape": id}, "nothing tells its arguments"),
        (SCALE, {}, "the form of its results"),
        ("tessera_native::relu(Tensor x) -> Tensor", {"shape": id}, "ts.ops has a function"),
        ("tessera_native::scale(Tensor(a!) x) -> ()", {"shape": id}, "writes to its arguments"),
        ("tessera_native::scale(Device d) -> Tensor", {"shape": id}, "'d' is of type Device"),
        ("tessera_native::scale(Tensor x) -> Tensor[]", {"shape": id}, "gives tensors"),
        ("tessera_native::scale(Tensor x -> Tensor", {"shape": id}, "tessera_native::scale"),
    ],
)
def test_schemas_that_cannot_be(library, schema, options, message):
    with pytest.raises(RegistrationError, match=re.escape(message)):
        ts.compat.define_op(schema, library=library, **options)
    assert not hasattr(ts.ops, "scale")


def test_a_symbol_without_a_library():
    with pytest.raises(RegistrationError, match="there is no library"):
        ts.compat.define_op("tessera_native::x(Tensor x) -> Tensor", symbol="x")


def test_a_branch_that_is_not_taken_does_not_run(scale):
    class Guarded(nn.Module):
        def forward(self, x):
            return torch.cond(x[0].isnan(), lambda x: x.clone(), lambda x: scale(x), (x,))

    x = torch.randn(3)
    bad = torch.full((3,), float("nan"))
    tess = ts.from_pytorch(Guarded(), (x,))
    for value in (x, bad):
        assert_same(tess(value), Guarded()(value))
    assert "a native kernel may end in an error" in tess.report.unconverted[0].reason


def test_sizes_that_depend_on_data(scale):
    class Positive(nn.Module):
        def forward(self, x):
            y = scale(x[x > 0])
            return y + scale(y, 3.0)

    tess = ts.from_pytorch(Positive(), (torch.randn(10),), strict=True)
    for _ in range(3):
        x = torch.randn(10)
        assert_same(tess(x), Positive()(x))
    assert [row.kind for row in tess.report.kernels].count("native") == 2


def test_a_lowering_cannot_decline_once_it_has_called_one(scale):
    @ts.compat.register_aten("aten.hardswish")
    def lower(node, ctx):
        ts.ops.scale(*ctx.get_inputs(node))
        raise ts.compat.Unsupported("on second thoughts")

    try:
        with pytest.raises(RegistrationError, match=r"declined \(on second thoughts\) after"):
            ts.from_pytorch(nn.Hardswish(), (torch.randn(3),))
    finally:
        ts.compat.unregister(lower)


def test_from_several_threads(scale):
    x = torch.randn(1000)

    class Scaled(nn.Module):
        def forward(self, x):
            return scale(x) + scale(x + 1)

    tess = ts.from_pytorch(Scaled(), (x,), strict=True)
    want, wrong = x * 4 + 2, []

    def calls():
        wrong.extend(not torch.allclose(tess(x), want) for _ in range(50))

    threads = [threading.Thread(target=calls) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 200
    assert not any(wrong)


def test_the_header_is_c99_and_cpp(tmp_path):
    build(SOURCE, tmp_path / "libc.so", "-std=c99", "-Wextra", "-pedantic")
    cpp = tmp_path / "kernels.cpp"
    cpp.write_text(SOURCE.read_text())
    build(cpp, tmp_path / "libcpp.so", "-std=c++17", "-Wextra")
