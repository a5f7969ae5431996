# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tensors cross to and from PyTorch and NumPy: the same memory, no leak, no early free."""

from __future__ import annotations

import gc
import resource
import weakref

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import dlpack

import tessera as ts
from tessera import _core

DTYPES = {
    "bool": torch.bool,
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}


def live() -> int:
    gc.collect()
    return int(_core.storage_stats()["live"])


# --- both ways, the same memory ---------------------------------------------------------------


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_shares_memory(name: str) -> None:
    x = torch.arange(6).reshape(2, 3).to(DTYPES[name])
    t = _core.from_dlpack(x)
    assert t.data_ptr() == x.data_ptr()
    assert str(t.dtype).removeprefix("torch.") == name
    assert t.shape == (2, 3)
    assert t.strides == (3, 1)
    back = torch.from_dlpack(t)
    assert back.data_ptr() == x.data_ptr()
    assert back.dtype == x.dtype
    assert torch.equal(back, x)


@pytest.mark.parametrize("name", DTYPES)
def test_capsules_of_the_guide(name: str) -> None:
    x = torch.arange(6).to(DTYPES[name])
    t = _core.from_dlpack(dlpack.to_dlpack(x))
    assert t.data_ptr() == x.data_ptr()
    y = dlpack.from_dlpack(_core.to_dlpack(t))
    assert y.data_ptr() == x.data_ptr()
    assert torch.equal(x, y)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.t(),
        lambda x: x[1:, 2:],
        lambda x: x[::2, ::3],
        lambda x: x[0, 0],
        lambda x: x[:0],
        lambda x: x[:, :0],
        lambda x: x.expand(2, 4, 6),
        lambda x: x[1],
        lambda x: x.reshape(1, 4, 1, 6, 1),
        lambda x: x.permute(1, 0)[None],
    ],
)
def test_layouts(view) -> None:
    x = view(torch.arange(24.0).reshape(4, 6))
    t = _core.from_dlpack(x)
    assert t.shape == tuple(x.shape)
    assert t.strides == x.stride()
    back = torch.from_dlpack(t)
    assert back.shape == x.shape
    assert torch.equal(back, x)
    if x.numel():
        assert t.data_ptr() == x.data_ptr()
        assert back.data_ptr() == x.data_ptr()
    assert t.tolist() == x.tolist()
    assert t.contiguous().tolist() == x.tolist()


def test_writes_are_seen_on_both_sides() -> None:
    x = torch.zeros(3)
    t = _core.from_dlpack(x)
    x[1] = 5
    assert t.tolist() == [0, 5, 0]
    torch.from_dlpack(t)[2] = 7
    assert x.tolist() == [0, 5, 7]


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.int64, np.float16, np.float64])
def test_numpy(dtype) -> None:
    a = np.arange(6).reshape(2, 3).astype(dtype)
    t = _core.from_dlpack(a)
    b = t.numpy()
    assert b.ctypes.data == a.ctypes.data
    assert b.dtype == a.dtype
    assert np.array_equal(np.asarray(t), a)
    assert np.asarray(t, dtype=np.float32).dtype == np.float32
    assert np.array_equal(np.from_dlpack(t), a)
    assert np.array(t, copy=True).ctypes.data != a.ctypes.data


def test_negative_strides_keep_their_values() -> None:
    t = _core.from_dlpack(np.arange(4)[::-1])
    assert t.strides == (-1,)
    assert t.tolist() == [3, 2, 1, 0]
    assert t.contiguous().tolist() == [3, 2, 1, 0]
    assert t.numpy().tolist() == [3, 2, 1, 0]


def test_read_only_arrays_stay_read_only() -> None:
    a = np.arange(3)
    a.flags.writeable = False
    t = _core.from_dlpack(a)
    assert t.readonly
    assert not t.numpy().flags.writeable
    with pytest.raises(BufferError, match="read-only"):
        t.__dlpack__()
    # The capsule made by hand says it too.
    assert _core.from_dlpack(_core.to_dlpack(t)).readonly
    copied = _core.from_dlpack(t.__dlpack__(copy=True))
    assert not copied.readonly
    assert copied.data_ptr() != t.data_ptr()


def test_protocol_arguments() -> None:
    t = _core.from_dlpack(torch.arange(3))
    assert t.__dlpack_device__() == (1, 0)
    assert "dltensor_versioned" in repr(t.__dlpack__(max_version=(1, 0)))
    assert '"dltensor"' in repr(t.__dlpack__())
    assert '"dltensor"' in repr(t.__dlpack__(max_version=(0, 8)))
    with pytest.raises(ValueError, match="stream"):
        t.__dlpack__(stream=1)
    with pytest.raises(BufferError, match="another device"):
        t.__dlpack__(dl_device=(2, 0))
    assert "dlpack_exchange_api" in repr(_core.Tensor.__dlpack_c_exchange_api__)


# --- what must not be exchanged silently ------------------------------------------------------


def test_a_capsule_is_consumed_once() -> None:
    for capsule in (
        dlpack.to_dlpack(torch.zeros(2)),
        _core.from_dlpack(torch.zeros(2)).__dlpack__(max_version=(1, 0)),
    ):
        _core.from_dlpack(capsule)
        with pytest.raises(ValueError, match="consumed before"):
            _core.from_dlpack(capsule)
    capsule = _core.to_dlpack(_core.from_dlpack(torch.zeros(2)))
    dlpack.from_dlpack(capsule)
    with pytest.raises(ValueError, match="consumed before"):
        _core.from_dlpack(capsule)


def test_negated_views_are_resolved() -> None:
    z = torch.complex(torch.ones(3), torch.arange(3.0))
    x = torch.imag(z.conj())
    assert x.is_neg()
    assert _core.from_dlpack(x).tolist() == [0, -1, -2]


def test_conjugate_and_complex_tensors_are_refused() -> None:
    for x in (torch.zeros(2, dtype=torch.complex64), torch.zeros(2, dtype=torch.complex64).conj()):
        with pytest.raises(TypeError, match="complex64"):
            _core.from_dlpack(x)


def test_gradients_do_not_cross() -> None:
    for x in (torch.zeros(2, requires_grad=True), torch.nn.Parameter(torch.zeros(2))):
        with pytest.raises(ValueError, match=r"requires grad.*detach"):
            _core.from_dlpack(x)
        assert _core.from_dlpack(x.detach()).data_ptr() == x.data_ptr()


def test_things_that_are_no_tensors() -> None:
    for thing in (3, None, [1, 2], "x"):
        with pytest.raises(TypeError, match="is not a tensor"):
            _core.from_dlpack(thing)
    with pytest.raises(ValueError, match="got one named 'dlpack_exchange_api'"):
        _core.from_dlpack(_core.Tensor.__dlpack_c_exchange_api__)
    with pytest.raises(TypeError):
        _core.to_dlpack(torch.zeros(2))


def test_other_devices_are_refused() -> None:
    with pytest.raises((ValueError, BufferError, RuntimeError), match="meta"):
        _core.from_dlpack(torch.zeros(2, device="meta"))

    class OnCuda:
        def __dlpack_device__(self):
            return (2, 3)

        def __dlpack__(self, **kwargs):
            raise AssertionError("must not be asked")

    with pytest.raises(ValueError, match="device cuda:3, expected cpu"):
        _core.from_dlpack(OnCuda())


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_fake_tensors_are_refused() -> None:
    with FakeTensorMode() as mode:
        fake = mode.from_tensor(torch.zeros(2))
    with pytest.raises((BufferError, RuntimeError), match=r"meta or fake tensor|FakeTensor"):
        _core.from_dlpack(fake)


def test_subclasses_go_through_the_protocol() -> None:
    class Mine(torch.Tensor):
        pass

    x = torch.arange(3.0).as_subclass(Mine)
    t = _core.from_dlpack(x)
    assert t.data_ptr() == x.data_ptr()
    assert t.tolist() == [0, 1, 2]


def test_producers_of_before_version_one() -> None:
    class Old:
        def __init__(self) -> None:
            self.tensor = torch.arange(3)

        def __dlpack_device__(self):
            return (1, 0)

        def __dlpack__(self, stream=None):
            return dlpack.to_dlpack(self.tensor)

    assert _core.from_dlpack(Old()).tolist() == [0, 1, 2]


def test_errors_of_producers_come_through() -> None:
    class Broken:
        def __dlpack_device__(self):
            return (1, 0)

        def __dlpack__(self, **kwargs):
            raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        _core.from_dlpack(Broken())


# --- lifetime ---------------------------------------------------------------------------------


def test_the_memory_outlives_its_producer() -> None:
    x = torch.arange(1000.0)
    t = _core.from_dlpack(x)
    del x
    gc.collect()
    torch.full((1000,), 7.0)
    assert t.tolist() == list(range(1000))
    y = torch.from_dlpack(t)
    del t
    gc.collect()
    assert y.tolist() == list(range(1000))


def test_the_producer_is_let_go() -> None:
    class Array(np.ndarray):
        pass

    a = np.zeros(3).view(Array)
    gone = weakref.ref(a)
    t = _core.from_dlpack(a)
    del a
    gc.collect()
    assert gone() is not None
    del t
    gc.collect()
    assert gone() is None


def test_capsules_nobody_consumes_are_freed() -> None:
    before = live()
    for _ in range(100):
        t = _core.from_dlpack(torch.zeros(4))
        _core.to_dlpack(t)
        t.__dlpack__(max_version=(1, 0))
    del t
    assert live() == before


def test_ten_thousand_exchanges_leak_nothing() -> None:
    x = torch.zeros(64, 1024)

    def exchange(count: int) -> None:
        for _ in range(count):
            t = _core.from_dlpack(x)
            dlpack.from_dlpack(_core.to_dlpack(t))
            torch.from_dlpack(t.contiguous())
            _core.from_dlpack(dlpack.to_dlpack(x))
            _core.from_dlpack(x.t()).contiguous()

    exchange(500)
    before, rss = live(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    exchange(10000)
    assert live() == before
    # 256 KB are touched in each round: one lost in a hundred would show.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss < 16 << 10


def test_shared_memory_stays_when_the_tensor_gets_other_memory() -> None:
    for replace in (
        lambda t: setattr(t, "data", torch.zeros(4096)),
        lambda t: t.set_(torch.zeros(4096)),
    ):
        tensor = torch.full((4096,), 3.0)
        shared = ts.from_dlpack(tensor)
        replace(tensor)
        # Takes the memory that would have been given back.
        other = [torch.full((4096,), 7.0) for _ in range(8)]
        assert (np.from_dlpack(shared) == 3).all()
        del other
