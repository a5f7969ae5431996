# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Programs on several threads: called from several, using several, and after a fork."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
import torch

import tessera as ts
from tessera import _core

SIZE = 512


@pytest.fixture(scope="module")
def program():
    """softmax(x @ w + 1): several launches, large enough for two threads."""
    builder = _core.GraphBuilder()
    x = builder.input("x", "float32", [SIZE, SIZE])
    w = builder.parameter("w", "float32", [SIZE, SIZE])
    one = builder.constant(np.array(1, np.float32), "float32", [])
    (y,) = builder.create("matmul", [x, w], {"transpose_a": False, "transpose_b": False})
    (y,) = builder.create("add", [y, one])
    return _core.compile(builder.finish(builder.create("softmax", [y], {"dim": 1})), threads=2)


@pytest.fixture(scope="module")
def weight():
    torch.manual_seed(0)
    return torch.rand(SIZE, SIZE) / SIZE


def test_more_threads_change_nothing(program, weight) -> None:
    x = torch.rand(SIZE, SIZE)
    results = [_core.Executable(program, [weight], threads=threads)(x) for threads in (1, 2, 3, 7)]
    assert torch.allclose(results[0], torch.softmax(x @ weight + 1, 1), atol=1e-6)
    for result in results[1:]:
        # Who computes a chunk must not change what is computed.
        assert torch.equal(result, results[0])


def test_several_threads_call_one_executable(program, weight) -> None:
    run = _core.Executable(program, [weight], threads=2)
    inputs = [torch.rand(SIZE, SIZE) for _ in range(4)]
    expected = [torch.softmax(x @ weight + 1, 1) for x in inputs]
    failures = []

    def call(index: int) -> None:
        for _ in range(20):
            if not torch.allclose(run(inputs[index]), expected[index], atol=1e-6):
                failures.append(index)

    threads = [threading.Thread(target=call, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_parameters_may_change_while_others_call(program) -> None:
    w = torch.nn.Parameter(torch.zeros(SIZE, SIZE))
    run = _core.Executable(program, [w], threads=2)
    x = torch.rand(SIZE, SIZE)
    uniform = torch.full((SIZE, SIZE), 1 / SIZE)
    done = threading.Event()
    failures = []

    def call() -> None:
        while not done.is_set():
            # Each row of every version of the weight is constant, and so is softmax's answer.
            if not torch.allclose(run(x), uniform, atol=1e-6):
                failures.append(1)

    thread = threading.Thread(target=call)
    thread.start()
    for value in range(40):
        w.data = torch.full((SIZE, SIZE), float(value))
        run(x)
    done.set()
    thread.join()
    assert not failures


def test_together_with_torch(program, weight) -> None:
    run = _core.Executable(program, [weight], threads=torch.get_num_threads())
    x = torch.rand(SIZE, SIZE)
    teams = set()
    for _ in range(20):
        assert torch.allclose(run(x), torch.softmax(x @ weight + 1, 1), atol=1e-6)
        teams.add(_core.thread_team())
    # The pool only stands in while the machine is too busy for OpenMP's workers.
    assert teams <= {"openmp", "pool"}


def test_after_a_fork(program, weight) -> None:
    run = _core.Executable(program, [weight], threads=2)
    x = torch.rand(SIZE, SIZE)
    expected = run(x)
    child = os.fork()
    if child == 0:
        # Whatever happens, the child must not return into pytest.
        code = 1
        try:
            signal.alarm(60)
            # Compared by NumPy: torch's own parallel operations hang after a fork.
            results = [run(x).numpy() for _ in range(5)]
            assert _core.thread_team() == "pool"
            code = 0 if all(np.array_equal(result, expected.numpy()) for result in results) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert torch.equal(run(x), expected)


def test_without_torch() -> None:
    """The extension alone: the pool's threads, NumPy's arrays."""
    script = textwrap.dedent(
        """
        import importlib.util, sys
        import numpy as np
        spec = importlib.util.spec_from_file_location("_core", sys.argv[1])
        core = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(core)
        b = core.GraphBuilder()
        x = b.input("x", "float32", [512, 512])
        y = b.create("matmul", [x, x], {"transpose_a": False, "transpose_b": False})
        run = core.Executable(core.compile(b.finish(y), threads=2), threads=2)
        a = np.random.default_rng(0).random((512, 512), np.float32)
        for _ in range(10):
            result = run(core.from_dlpack(a))
        assert isinstance(result, core.Tensor)
        assert np.allclose(result.numpy(), a @ a, rtol=1e-4)
        assert core.thread_team() == "pool"
        assert "torch" not in sys.modules
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, _core.__file__],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_control_c_stops_a_long_program() -> None:
    n = 2048

    builder = _core.GraphBuilder()
    x = builder.input("x", "float32", [n, n])
    for _ in range(200):
        (x,) = builder.create("matmul", [x, x], {"transpose_a": False, "transpose_b": False})
    run = _core.Executable(_core.compile(builder.finish([x]), threads=2), threads=2)
    zeros = torch.zeros(n, n)
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    begin = time.perf_counter()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(zeros)
    # The whole program takes over ten seconds.
    assert time.perf_counter() - begin < 8


@pytest.fixture
def as_torch():
    """Both libraries' numbers of threads, put back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    ts.set_num_threads(None)


def threads_of(tess) -> int:
    return tess._execution().program.executable.stats["threads"]


def test_programs_follow_torch(as_torch) -> None:
    model, x = torch.nn.Linear(256, 256), torch.randn(256, 256)
    tess = ts.from_pytorch(model, (x,))
    expected = tess(x)
    for threads in (1, 3, 2):
        torch.set_num_threads(threads)
        assert ts.get_num_threads() == threads
        assert threads_of(tess) == threads
        assert torch.equal(tess(x), expected)


def test_a_number_of_our_own(as_torch) -> None:
    model, x = torch.nn.Linear(256, 256), torch.randn(256, 256)
    following = ts.from_pytorch(model, (x,))
    fixed = ts.from_pytorch(model, (x,), threads=1)
    ts.set_num_threads(3)
    torch.set_num_threads(2)
    assert ts.get_num_threads() == 3
    assert (threads_of(following), threads_of(fixed)) == (3, 1)
    assert torch.equal(following(x), fixed(x))
    assert torch.get_num_threads() == 2, "torch keeps its own"
    ts.set_num_threads(None)
    assert ts.get_num_threads() == 2


def test_a_number_set_holds_in_other_threads(as_torch) -> None:
    ts.set_num_threads(3)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(ts.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [3]


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", True, 10**6])
def test_what_is_no_number_of_threads(number) -> None:
    with pytest.raises(ts.errors.ArgumentError, match=r"set_num_threads: num must be an integer"):
        ts.set_num_threads(number)
    with pytest.raises(ts.errors.ArgumentError, match=r"threads must be an integer from 1"):
        ts.from_pytorch(torch.nn.Linear(2, 2), (torch.randn(1, 2),), threads=number)


def test_models_served_from_several_threads(as_torch) -> None:
    models = [torch.nn.Sequential(torch.nn.Linear(300, 300), torch.nn.GELU()) for _ in range(3)]
    x = torch.randn(128, 300)
    served = [ts.from_pytorch(model, (x,)) for model in models]
    expected = [tess(x) for tess in served]
    wrong = []

    def serve(index: int) -> None:
        for _ in range(50):
            if not torch.equal(served[index](x), expected[index]):
                wrong.append(index)

    workers = [threading.Thread(target=serve, args=(index % 3,)) for index in range(6)]
    for worker in workers:
        worker.start()
    for number in (1, 2, 4, 1, 3):  # changes while calls run
        ts.set_num_threads(number)
        time.sleep(0.02)
    for worker in workers:
        worker.join()
    assert not wrong
