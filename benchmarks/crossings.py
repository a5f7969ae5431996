# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The prices of `tessera.lowering.costs`, measured: differences between programs that differ in one
thing, so that what they share falls out. CPU time on one thread, microseconds.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

import tessera as ts
from benchmarks import removal
from benchmarks.zoo import Function

#: Islands of the programs that are compared, and compiled operators before them.
MANY = 16
BIG = (1024, 1024)
SMALL = (4, 4)


class Chain(nn.Module):
    """Compiled code and PyTorch's `cat` in turn; `width` tensors go into each of the latter."""

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.rest = nn.ParameterList(torch.zeros(0, size[1]) for _ in range(width - 1))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(MANY):
            x = torch.cat([x.neg(), *self.rest])
        return x.neg()


@contextlib.contextmanager
def _in_turn() -> Iterator[None]:
    """A context in which `cat` is left to PyTorch, and `neg` is not: a lowering of one's own
    stays compiled whatever the crossings cost."""

    def lower(node: Any, ctx: Any) -> Any:
        return ts.ops.mul(ctx.get_inputs(node)[0], -1.0)

    ts.compat.register_aten("aten.neg")(lower)
    try:
        with removal.without(["aten.cat"]):
            yield
    finally:
        ts.compat.unregister(lower)


def microseconds(call: Callable[[], Any], least: float = 0.03, rounds: int = 9) -> float:
    """CPU time of one call: the best of several bundles."""
    for _ in range(3):
        call()
    begin, count = time.process_time(), 0
    while time.process_time() - begin < least:
        call()
        count += 1
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        for _ in range(count):
            call()
        best = min(best, (time.process_time() - begin) / count)
    return best * 1e6


def _crossing(width: int, size: tuple[int, int]) -> float:
    """What one island costs above its `cat` in PyTorch and the compiled code beside it."""
    x, chain = torch.zeros(size), Chain(width, size)
    with _in_turn():
        both = ts.from_pytorch(chain, (x,))
    assert len(both.report.islands) == MANY
    kernel = ts.from_pytorch(Function(torch.neg), (x,))
    joined = [x, *chain.rest]
    alone = microseconds(lambda: kernel(x)) - microseconds(_nothing(x))
    whole = microseconds(lambda: both(x)) - (MANY + 1) * alone
    return whole / MANY - microseconds(lambda: torch.cat(joined))


def _nothing(x: Tensor) -> Callable[[], Any]:
    """A call of a program that computes next to nothing."""
    program = ts.from_pytorch(Function(torch.neg), (torch.zeros(1),))
    one = torch.zeros(1)
    return lambda: program(one)


def measure() -> dict[str, float]:
    """The fields of `Prices`."""
    torch.set_num_threads(1)
    with torch.no_grad():
        few, many, big = _crossing(2, SMALL), _crossing(10, SMALL), _crossing(2, BIG)
        tensor = (many - few) / 8
        size = 4 * BIG[0] * BIG[1]
        small, large = torch.zeros(SMALL), torch.zeros(BIG)
        dispatch = microseconds(lambda: torch.relu(small))
        copied = microseconds(lambda: torch.relu(large)) / size
        return {
            "island": few - 3 * tensor,
            "tensor": tensor,
            "dispatch": dispatch,
            "byte": copied,
            "crossing_byte": max(0.0, (big - few) / (2 * size)),
            "flop": _flop(),
        }


def _flop() -> float:
    """What compiled code saves of a floating-point operation of a product."""
    saved, flops = 0.0, 0.0
    for m, k, n in ((128, 768, 768), (128, 768, 3072), (196, 384, 1536), (1024, 128, 512)):
        linear, x = nn.Linear(k, n).eval(), torch.randn(m, k)
        compiled = ts.from_pytorch(linear, (x,))
        eager, ours = (_called(module, x) for module in (linear, compiled))
        print(f"  linear {m}x{n}x{k}: eager {eager:.0f} us, compiled {ours:.0f} us")
        saved += eager - ours
        flops += 2.0 * m * k * n
    return saved / flops


def _called(module: Callable[[Tensor], Any], x: Tensor) -> float:
    return microseconds(lambda: module(x))


def main() -> None:
    logging.disable(logging.WARNING)
    from tessera.lowering.costs import Prices

    assumed = Prices()
    for name, value in measure().items():
        print(f"{name:14} {value:10.3g}   assumed {getattr(assumed, name):.3g}")


if __name__ == "__main__":
    main()
