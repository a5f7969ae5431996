# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Calling a compiled program: inputs, parameters, islands, errors."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
import torch

from tessera import _core


def compile_graph(build, threads=1):
    """The program of the outputs that `build(builder)` returns."""
    builder = _core.GraphBuilder()
    return _core.compile(builder.finish(build(builder)), threads=threads)


def scalar(builder, value):
    return builder.constant(np.array(value, np.float32), "float32", [])


def plus_one(shape=(2, 3)):
    def build(b):
        x = b.input("x", "float32", shape)
        return b.create("add", [x, scalar(b, 1.0)])

    return compile_graph(build)


@pytest.fixture(scope="module")
def add_one():
    return _core.Executable(plus_one(), name="Net.forward")


# --- inputs -----------------------------------------------------------------------------------


def test_torch_in_torch_out(add_one) -> None:
    x = torch.arange(6.0).reshape(2, 3)
    y = add_one(x)
    assert type(y) is torch.Tensor
    assert torch.equal(y, x + 1)
    assert not y.requires_grad


def test_core_in_core_out(add_one) -> None:
    x = torch.arange(6.0).reshape(2, 3)
    y = add_one(_core.from_dlpack(x))
    assert isinstance(y, _core.Tensor)
    assert y.tolist() == (x + 1).tolist()


def test_numpy_in_torch_out(add_one) -> None:
    y = add_one(np.ones((2, 3), np.float32))
    assert type(y) is torch.Tensor
    assert y.tolist() == [[2.0] * 3] * 2


@pytest.mark.parametrize(
    "view",
    [
        lambda: torch.arange(6.0).reshape(3, 2).t(),
        lambda: torch.arange(3.0).expand(2, 3),
        lambda: torch.arange(24.0).reshape(4, 6)[1:3, ::2],
        lambda: torch.imag(torch.complex(torch.zeros(2, 3), torch.rand(2, 3)).conj()),
        lambda: torch.arange(6.0).reshape(2, 3)._neg_view(),
        lambda: torch.nn.Parameter(torch.rand(2, 3), requires_grad=False),
    ],
)
def test_views_have_their_values(add_one, view) -> None:
    x = view()
    assert torch.equal(add_one(x), x + 1)


def without_storage():
    x = torch.zeros(2, 3)
    x.untyped_storage().resize_(0)
    return x


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: [torch.zeros(2, 4)],
            ValueError,
            r"\[Net.forward\] input 'x' has shape \(2, 4\), compiled for \(2, 3\); call "
            r"ts.from_pytorch again",
        ),
        (lambda: [torch.zeros(2, 3, 1)], ValueError, r"shape \(2, 3, 1\)"),
        (lambda: [torch.zeros(())], ValueError, r"shape \(\)"),
        (
            lambda: [torch.zeros(2, 3).double()],
            TypeError,
            r"input 'x' has dtype float64, compiled for float32",
        ),
        (lambda: [torch.zeros(2, 3, dtype=torch.complex64)], TypeError, "input 'x'.*complex64"),
        (
            lambda: [torch.zeros(2, 3, device="meta")],
            ValueError,
            "input 'x' cannot be used: Cannot pack tensors on meta",
        ),
        (lambda: [without_storage()], ValueError, "input 'x' has no memory"),
        (lambda: [torch.zeros(2, 3).to_sparse()], ValueError, "input 'x' cannot be used"),
        (lambda: [torch.zeros(2, 3, dtype=torch.uint16)], TypeError, "elements are uint16"),
        (
            lambda: [torch.zeros(2, 3, requires_grad=True)],
            ValueError,
            "input 'x': the tensor requires grad; run under torch.no_grad",
        ),
        (list, TypeError, r"\[Net.forward\] got 0 tensors, compiled for 1"),
        (lambda: [torch.zeros(2, 3)] * 2, TypeError, "got 2 tensors, compiled for 1"),
        (lambda: [3.0], TypeError, "input 'x': float is not a tensor"),
        (lambda: [None], TypeError, "input 'x': NoneType is not a tensor"),
    ],
)
def test_bad_inputs_are_named_and_leave_it_usable(add_one, make, error, text) -> None:
    with pytest.raises(error, match=text):
        add_one(*make())
    assert torch.equal(add_one(torch.zeros(2, 3)), torch.ones(2, 3))


def test_keywords_are_refused(add_one) -> None:
    with pytest.raises(TypeError, match="by position only"):
        add_one(x=torch.zeros(2, 3))


def test_gradients_are_fine_where_none_are_recorded(add_one) -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    with torch.no_grad():
        assert torch.equal(add_one(x), torch.ones(2, 3))
    with torch.inference_mode():
        assert torch.equal(add_one(x), torch.ones(2, 3))


def test_inference_tensors(add_one) -> None:
    with torch.inference_mode():
        x = torch.zeros(2, 3)
    assert torch.equal(add_one(x), torch.ones(2, 3))


def test_several_outputs_and_passed_through_inputs() -> None:
    def build(b):
        x, y = b.input("x", "float32", [3]), b.input("y", "float32", [3])
        return [*b.create("add", [x, y]), x, *b.create("mul", [x, y])]

    run = _core.Executable(compile_graph(build))
    x, y = torch.rand(3), torch.rand(3)
    total, same, product = run(x, y)
    assert torch.equal(total, x + y)
    assert same is x
    assert torch.equal(product, x * y)
    cx = _core.from_dlpack(x)
    assert run(cx, _core.from_dlpack(y))[1] is cx
    mixed = run(cx, y)
    assert all(type(item) is torch.Tensor for item in mixed)
    assert mixed[1].data_ptr() == x.data_ptr()
    doubled = torch.rand(6)[::2]
    assert torch.equal(run(doubled, y)[1], doubled)


def test_programs_without_inputs_give_torch_tensors() -> None:
    run = _core.Executable(
        compile_graph(
            lambda b: b.create(
                "iota", [], {"shape": [4], "dim": 0, "start": 0, "step": 1, "dtype": "int64"}
            )
        )
    )
    y = run()
    assert type(y) is torch.Tensor
    assert y.tolist() == [0, 1, 2, 3]
    y.zero_()
    assert run().tolist() == [0, 1, 2, 3]


def test_empty_tensors() -> None:
    run = _core.Executable(plus_one((0, 3)))
    assert run(torch.zeros(0, 3)).shape == (0, 3)


# --- parameters -------------------------------------------------------------------------------


def linear():
    """x @ w: the weight is packed by the prepare list."""

    def build(b):
        x, w = b.input("x", "float32", [4, 64]), b.parameter("fc.weight", "float32", [64, 32])
        return b.create("matmul", [x, w], {"transpose_a": False, "transpose_b": False})

    return compile_graph(build)


def scaled():
    """x * s: the parameter is read in place."""

    def build(b):
        x, s = b.input("x", "float32", [3]), b.parameter("scale", "float32", [3])
        return b.create("mul", [x, s])

    return compile_graph(build)


def test_parameters_are_shared() -> None:
    s = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    run = _core.Executable(scaled(), [s])
    x = torch.ones(3)
    assert run(x).tolist() == [1, 2, 3]
    # Read in place: even writes torch does not count are seen.
    s.data.numpy()[0] = 10
    assert run(x).tolist() == [10, 2, 3]
    s.data = torch.tensor([4.0, 5.0, 6.0])
    assert run(x).tolist() == [4, 5, 6]
    with torch.no_grad():
        s.mul_(2)
    assert run(x).tolist() == [8, 10, 12]


def test_packed_parameters_follow_changes() -> None:
    w = torch.nn.Parameter(torch.rand(64, 32))
    run = _core.Executable(linear(), [w])
    x = torch.rand(4, 64)

    def check() -> None:
        assert torch.allclose(run(x), (x @ w).detach(), atol=1e-5)

    check()
    prepares = run.stats["prepares"]
    check()
    assert run.stats["prepares"] == prepares
    with torch.no_grad():
        w.mul_(2)
    check()
    w.data = torch.rand(64, 32)
    check()
    # The same memory in another layout.
    w.data = torch.rand(32, 64).t()
    check()
    w.grad = torch.ones_like(w)
    torch.optim.SGD([w], lr=0.1).step()
    check()
    # Not counted by torch: only said so by hand.
    w.data.fill_(0.5)
    run.refresh()
    check()


def test_a_freed_parameter_is_never_mistaken_for_its_successor() -> None:
    w = torch.nn.Parameter(torch.rand(64, 32))
    run = _core.Executable(linear(), [w])
    x = torch.rand(4, 64)
    for _ in range(20):
        # The allocator would like to hand out the same address again.
        w.data = torch.rand(64, 32)
        assert torch.allclose(run(x), (x @ w).detach(), atol=1e-5)


def test_a_parameter_that_becomes_lazily_negated_is_noticed() -> None:
    # The same memory, layout and count of writes: only its values are others.
    s = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    run = _core.Executable(scaled(), [s])
    x = torch.ones(3)
    assert run(x).tolist() == [1, 2, 3]
    s.data = torch._neg_view(s.data)
    for _ in range(2):
        assert run(x).tolist() == [-1, -2, -3]
    s.data = torch._neg_view(s.data)
    assert run(x).tolist() == [1, 2, 3]


def test_tensors_are_read_where_torch_keeps_them(add_one) -> None:
    add_one(torch.zeros(2, 3))
    assert _core.knows_torch_layout()
    # Whatever is not plain memory goes the general way, with the same result or an error.
    x = torch.arange(6.0).reshape(2, 3)
    with torch.inference_mode():
        inferred = x + 0
    for given in (
        x,
        inferred,
        torch._neg_view(-x),
        x.t().contiguous().t(),
        torch.stack([x, x], 2)[..., 1],
        torch._lazy_clone(x),
        torch.nn.Parameter(x, requires_grad=False),
    ):
        for _ in range(2):
            assert add_one(given).tolist() == (x + 1).tolist()
    freed = torch.zeros(2, 3)
    freed.untyped_storage().resize_(0)
    zeros = torch._efficientzerotensor(2, 3)
    for bad in (zeros, x.to_sparse(), x.to("meta"), x * 1j, freed):
        with pytest.raises((TypeError, ValueError, RuntimeError), match="input '"):
            add_one(bad)
    with pytest.raises(Exception, match=r"vmap|functorch|BatchedTensor|storage"):
        torch.vmap(lambda row: add_one(row))(torch.zeros(4, 2, 3))


_OTHER_TORCH = """
import torch
torch.__version__ = "2.13.99"
from tessera import _core
b = _core.GraphBuilder()
x, s = b.input("x", "float32", [3]), b.parameter("s", "float32", [3])
scale = torch.nn.Parameter(torch.ones(3))
run = _core.Executable(_core.compile(b.finish(b.create("mul", [x, s]))), [scale])
x = torch.arange(3.0)
for _ in range(2):
    assert run(x).tolist() == [0, 1, 2]
    assert run(torch._neg_view(x)).tolist() == [0, -1, -2]
scale.data = torch._neg_view(scale.data)
assert run(x).tolist() == [0, -1, -2]
assert not _core.knows_torch_layout()
"""


def test_another_version_of_torch_is_asked() -> None:
    done = subprocess.run([sys.executable, "-c", _OTHER_TORCH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_bad_parameters_are_named() -> None:
    x = torch.ones(3)
    with pytest.raises(ValueError, match=r"parameter 'scale' has shape \(4,\), compiled for"):
        _core.Executable(scaled(), [torch.ones(4)])(x)
    with pytest.raises(TypeError, match="parameter 'scale' has dtype float64"):
        _core.Executable(scaled(), [torch.ones(3).double()])(x)
    with pytest.raises(ValueError, match="got 0 parameters, compiled for 1"):
        _core.Executable(scaled())(x)
    with pytest.raises(ValueError, match="more parameters"):
        _core.Executable(scaled(), [torch.ones(3)] * 2)
    with pytest.raises(TypeError, match="parameter 'scale' is a list"):
        _core.Executable(scaled(), [[1.0]])
    s = torch.nn.Parameter(torch.ones(3))
    run = _core.Executable(scaled(), [s])
    run(x)
    s.data = torch.ones(5)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"shape \(5,\)"):
            run(x)
    s.data = torch.full((3,), 2.0)
    assert run(x).tolist() == [2, 2, 2]
    s.untyped_storage().resize_(0)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"parameter 'scale' (has no memory|cannot be used)"):
            run(x)


def test_core_tensors_as_parameters() -> None:
    run = _core.Executable(scaled(), [_core.from_dlpack(torch.full((3,), 3.0))])
    assert run(torch.ones(3)).tolist() == [3, 3, 3]


# --- islands ----------------------------------------------------------------------------------


def around_island():
    def build(b):
        x = b.input("x", "float32", [4])
        (h,) = b.create("add", [x, scalar(b, 1.0)])
        (i,) = b.island(0, "test", [h], [("float32", [4])], ("net.part", "model.py", 7))
        return b.create("mul", [i, scalar(b, 2.0)])

    return compile_graph(build)


@pytest.fixture(scope="module")
def island_program():
    return around_island()


def test_island(island_program) -> None:
    run = _core.Executable(island_program, islands={0: torch.sin})
    x = torch.rand(4)
    assert torch.allclose(run(x), torch.sin(x + 1) * 2)
    assert isinstance(run(_core.from_dlpack(x)), _core.Tensor)


def test_islands_may_keep_mutate_and_return_what_they_get(island_program) -> None:
    kept = []

    def island(h):
        kept.append(h)
        return (h.mul_(10),)

    run = _core.Executable(island_program, islands={0: island})
    assert torch.equal(run(torch.zeros(4)), torch.full((4,), 20.0))
    assert torch.equal(run(torch.ones(4)), torch.full((4,), 40.0))
    assert kept[0].tolist() == [10] * 4
    assert kept[1].tolist() == [20] * 4


def test_exceptions_come_through_with_their_traceback(island_program) -> None:
    fail = True

    def island(h):
        if fail:
            raise KeyError("the island's own")
        return h

    run = _core.Executable(island_program, islands={0: island})
    with pytest.raises(KeyError, match="the island's own") as info:
        run(torch.zeros(4))
    assert info.traceback[-1].name == "island"
    fail = False
    assert torch.equal(run(torch.zeros(4)), torch.full((4,), 2.0))


@pytest.mark.parametrize(
    ("result", "error", "text"),
    [
        (
            lambda h: 3,
            TypeError,
            r"\[net.part\] island 0 returned a result that cannot be used: "
            "int is not a tensor",
        ),
        (lambda h: None, TypeError, "NoneType is not a tensor"),
        (lambda h: (h, h), RuntimeError, "returned 2 tensors, expected 1"),
        (lambda h: h[:2], RuntimeError, r"returned float32 \(2,\) as result 0, compiled for"),
        (lambda h: h.double(), RuntimeError, "returned float64"),
    ],
)
def test_wrong_results_are_errors(island_program, result, error, text) -> None:
    run = _core.Executable(island_program, islands={0: result})
    with pytest.raises(error, match=text):
        run(torch.zeros(4))


def test_missing_islands_are_errors(island_program) -> None:
    with pytest.raises(RuntimeError, match="island 0 was not given"):
        _core.Executable(island_program)(torch.zeros(4))
    with pytest.raises(TypeError, match="must be callable"):
        _core.Executable(island_program, islands={0: 3})


def test_strided_and_negated_results(island_program) -> None:
    def island(h):
        return torch.imag(torch.complex(torch.zeros(4), h).conj())

    run = _core.Executable(island_program, islands={0: island})
    assert torch.equal(run(torch.zeros(4)), torch.full((4,), -2.0))


def test_a_program_called_by_its_own_island(island_program) -> None:
    depth = 0

    def island(h):
        nonlocal depth
        depth += 1
        return run(h) if depth < 4 else h

    run = _core.Executable(island_program, islands={0: island})
    assert torch.equal(run(torch.zeros(4)), torch.full((4,), 4.0 * 16))


# --- life and time ----------------------------------------------------------------------------


def test_results_outlive_the_executable() -> None:
    run = _core.Executable(plus_one())
    y = run(torch.zeros(2, 3))
    del run
    gc.collect()
    torch.full((2, 3), 9.0)
    assert torch.equal(y, torch.ones(2, 3))


def test_cycles_through_islands_are_collected(island_program) -> None:
    class Owner:
        pass

    owner = Owner()
    owner.run = _core.Executable(island_program, islands={0: lambda h, o=owner: h})
    gone = weakref.ref(owner)
    owner.run(torch.zeros(4))
    del owner
    gc.collect()
    assert gone() is None


def test_calls_leak_nothing(island_program) -> None:
    s = torch.ones(3)
    runs = [
        (_core.Executable(plus_one()), torch.zeros(2, 3)),
        (_core.Executable(scaled(), [s]), torch.zeros(3)),
        (_core.Executable(island_program, islands={0: torch.sin}), torch.zeros(4)),
    ]

    def call() -> int:
        for _ in range(2000):
            for run, x in runs:
                run(x)
        gc.collect()
        return int(_core.storage_stats()["live"])

    assert call() == call()


def test_profile_counts_each_instruction(island_program) -> None:
    run = _core.Executable(island_program, islands={0: torch.sin})
    result, times = run.profile(torch.zeros(4))
    assert torch.allclose(result, torch.sin(torch.ones(4)) * 2)
    assert len(times) == len(island_program.instructions)
    assert all(time > 0 for time in times)
    kinds = [instruction["kind"] for instruction in island_program.instructions]
    assert kinds.count("island") == 1
    island = island_program.instructions[kinds.index("island")]
    assert island["fqn"] == "net.part"
    assert island["source"] == "model.py:7"


def test_an_interrupt_stops_between_islands(island_program) -> None:
    def island(h):
        signal.raise_signal(signal.SIGINT)
        return h

    run = _core.Executable(island_program, islands={0: island})
    with pytest.raises(KeyboardInterrupt):
        run(torch.zeros(4))


def test_other_threads_run_while_a_long_program_does() -> None:
    n = 4096

    def build(b):
        x = b.input("x", "float32", [n, n])
        for _ in range(3):
            (x,) = b.create("matmul", [x, x], {"transpose_a": False, "transpose_b": False})
        return [x]

    run = _core.Executable(compile_graph(build))
    ticks = 0
    done = False

    def tick() -> None:
        nonlocal ticks
        while not done:
            ticks += 1
            time.sleep(0.005)

    thread = threading.Thread(target=tick)
    thread.start()
    begin = time.perf_counter()
    run(torch.zeros(n, n))
    elapsed = time.perf_counter() - begin
    done = True
    thread.join()
    # With the GIL held it would have stood still.
    assert ticks > elapsed / 0.005 / 20
