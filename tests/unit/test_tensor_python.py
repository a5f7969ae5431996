# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What Python adds to ts.Tensor: operators, indexing, printing, copying."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest
import torch

import tessera as ts

BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    operator.eq,
    operator.ne,
]


@pytest.mark.parametrize("function", BINARY)
@pytest.mark.parametrize("number", [2, 2.5])
def test_operators(function, number):
    left, right = torch.randn(2, 3), torch.rand(3) + 1
    ours = ts.from_dlpack(left), ts.from_dlpack(right)
    for got, want in [
        (function(*ours), function(left, right)),
        (function(ours[0], number), function(left, number)),
        (function(number, ours[1]), function(number, right)),
    ]:
        assert type(got) is ts.Tensor
        torch.testing.assert_close(got.torch(), want)


def test_unary_operators_and_matmul():
    x = torch.randn(3, 3)
    t = ts.tensor(x)
    torch.testing.assert_close((-t).torch(), -x)
    torch.testing.assert_close(abs(t).torch(), abs(x))
    torch.testing.assert_close((t @ t).torch(), x @ x)
    torch.testing.assert_close((~(t > 0)).torch(), ~(x > 0))


def test_methods_are_functions_of_ops():
    x = torch.randn(2, 3)
    t = ts.tensor(x)
    torch.testing.assert_close(t.relu().torch(), x.relu())
    torch.testing.assert_close(t.sum(0).torch(), x.sum(0))
    with pytest.raises(AttributeError, match="nonsense"):
        t.nonsense()


def test_indexing_shares_memory():
    x = torch.arange(6.0).reshape(2, 3)
    t = ts.from_dlpack(x)
    assert t[1].data_ptr() == x[1].data_ptr()
    assert t[..., ::2].tolist() == [[0, 2], [3, 5]]
    t[0, 0] = 9
    assert x[0, 0] == 9
    assert t.T.shape == (3, 2)


def test_printing():
    assert repr(ts.tensor([1.0, 2.5])) == "ts.Tensor([1.0000, 2.5000], dtype=torch.float32)"
    assert "dtype=torch.float64" in repr(ts.tensor([1.0], dtype=torch.float64))
    assert "dtype=torch.int64" in repr(ts.tensor(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool, torch.int8])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_copies(dtype, shape):
    x = torch.randn(shape).to(dtype)
    t = ts.from_dlpack(x)
    for twin in (copy.deepcopy(t), pickle.loads(pickle.dumps(t)), t.clone(), ts.tensor(t)):
        assert torch.equal(twin.torch(), x)
        assert twin.dtype == dtype
        assert not x.numel() or twin.data_ptr() != x.data_ptr()


def test_making_tensors():
    assert ts.tensor([[1, 2], [3, 4]]).dtype == torch.int64
    assert ts.tensor(2.5).shape == ()
    numpy = pytest.importorskip("numpy")
    array = numpy.ones((2, 3), dtype=numpy.float32)
    shared = ts.from_numpy(array)
    array[0, 0] = 7
    assert shared[0, 0].item() == 7
    assert ts.tensor([1.0]).device == torch.device("cpu")


def test_what_cannot_be_shared_says_why():
    with pytest.raises(ValueError, match="requires grad"):
        ts.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(TypeError, match="complex64"):
        ts.from_dlpack(torch.ones(2, dtype=torch.complex64))
    with pytest.raises(ValueError, match="meta"):
        ts.from_dlpack(torch.ones(2, device="meta"))
    with pytest.raises(TypeError, match=r"ts.Tensor, not int"):
        ts.to_dlpack(3)


def test_tensors_are_hashable_and_have_no_single_truth():
    t = ts.tensor([1.0, 2.0])
    assert len({t, t}) == 1
    with pytest.raises((ValueError, RuntimeError, TypeError)):
        bool(t)


def test_methods_for_dtypes_run_and_build():
    x = torch.tensor([[0.0, 1.5, -2.5]])
    names = ("bfloat16", "bool", "double", "float", "half", "int", "long", "short", "char")
    for name in names:
        want = getattr(x, name)()
        for call in (lambda t, name=name: getattr(t, name)(), lambda t, w=want: t.type_as(w)):
            got = call(ts.from_torch(x))
            assert got.dtype == want.dtype
            assert torch.equal(got.torch(), want)
            assert torch.equal(ts.jit(call, strict=True)(x), want)
    t = ts.from_torch(x)
    assert t.float() is t
    assert t.cpu() is t
    assert (t.stride(), t.stride(-1), t.element_size()) == ((3, 1), 1, 4)


def test_functions_of_torch_take_tensors_of_ours():
    plain, other = torch.randn(2, 3), torch.randn(2, 3)
    ours = ts.from_dlpack(plain)
    for function in (
        torch.relu,
        lambda x: torch.add(x, other),
        lambda x: other.add(x),
        lambda x: torch.cat([x, other]),
        lambda x: torch.einsum("ij,kj->ik", x, x),
        lambda x: torch.nn.functional.softmax(x, -1),
        lambda x: torch.linalg.norm(x),
        lambda x: torch.where(x > 0, x, other),
    ):
        got = function(ours)
        assert type(got) is ts.Tensor
        torch.testing.assert_close(torch.from_dlpack(got), function(plain))
    values, places = torch.max(ours, 1)
    assert (type(values), type(places)) == (ts.Tensor, ts.Tensor)
    assert torch.equal(ours, ours)
    assert torch.numel(ours) == 6


@pytest.mark.parametrize("function", [*BINARY, operator.pow, operator.matmul])
def test_operators_with_a_torch_tensor_on_the_left(function):
    left, right = torch.rand(3, 3) + 1, torch.rand(3, 3) + 1
    got = function(left, ts.from_dlpack(right))
    assert type(got) is ts.Tensor
    torch.testing.assert_close(torch.from_dlpack(got), function(left, right))
    weight = torch.nn.Parameter(left)
    with pytest.raises(ValueError, match=r"\] argument 'input' is a parameter"):
        function(weight, ts.from_dlpack(right))


def test_functions_of_torch_write_where_they_should():
    plain, target = torch.randn(2, 3), torch.zeros(2, 3)
    ours = ts.from_dlpack(plain)
    assert torch.add(torch.ones(2, 3), 1, out=ours) is ours
    assert torch.equal(plain, torch.full((2, 3), 2.0))
    assert torch.relu_(ours) is ours
    assert target.add_(ours) is target
    target[0] = ours[0] + 1
    assert torch.equal(target, torch.tensor([[3.0] * 3, [2.0] * 3]))
    array = np.zeros(3, np.float32)
    array.flags.writeable = False
    for write in (torch.relu_, lambda x: torch.relu(torch.ones(3)).add_(1) + torch.neg_(x)):
        with pytest.raises(ValueError, match="read-only"):
            write(ts.from_numpy(array))


def test_functions_of_torch_that_would_need_gradients():
    ours = ts.tensor([[1.0, 2.0]])
    layer = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"linear: an argument requires grad[^$]*no_grad"):
        layer(ours)
    with torch.no_grad():
        assert type(layer(ours)) is ts.Tensor


def test_bytes_read_as_another_dtype():
    plain = torch.arange(6.0).reshape(2, 3)
    ours = ts.from_dlpack(plain)
    for dtype in (torch.int32, torch.int16, torch.uint8, torch.float32):
        for viewed in (ours.view(dtype), ts.ops.view(ours, dtype)):
            assert viewed.data_ptr() == plain.data_ptr()
            assert torch.equal(torch.from_dlpack(viewed), plain.view(dtype))
        assert torch.equal(ts.ops.view(plain, dtype), plain.view(dtype))
        assert torch.equal(ts.jit(lambda x, to=dtype: x.view(to))(plain), plain.view(dtype))
    assert ours.view(3, 2).shape == ours.view((3, 2)).shape == (3, 2)
